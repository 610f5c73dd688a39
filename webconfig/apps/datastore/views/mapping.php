<?php

/**
 * A mapping, to be added or changed.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('mapping');

// What an exception says is HTML already.
if ($error !== '')
    echo infobox_warning(lang('datastore_not_done'), $error);

$is_new = $mode === 'add';
$choices = ['' => lang('datastore_volume_usual')];
foreach ($volumes as $volume)
    $choices[Text::html($volume)] = Text::html($volume);

echo form_open('datastore/mapping/' . $mode . ($is_new ? '' : '/' . rawurlencode($values['app'])), ['id' => 'ds-mapping'], []);
echo form_header(lang('datastore_mapping_' . $mode));
echo form_banner(lang('datastore_mapping_help'));
if ($is_new)
    echo field_input('app', $values['app'], lang('datastore_app'));
else
    echo field_view(lang('datastore_app'), Text::html($values['app']), 'app', Text::html($values['app']));
echo field_input('title', $values['title'], lang('datastore_title'));
echo field_input('mount_point', $values['mount_point'], lang('datastore_mount_point'));
echo field_input('target', $values['target'], lang('datastore_target'));
echo field_dropdown('volume', $choices, $values['volume'], lang('datastore_volume'));
echo field_input('owner', $values['owner'], lang('datastore_owner'));
echo field_input('group', $values['group'], lang('datastore_group'));
echo field_input('permissions', $values['permissions'], lang('datastore_permissions'));
echo field_button_set([
    form_submit_custom('submit', lang($is_new ? 'datastore_mapping_add' : 'datastore_mapping_save'), 'high'),
    anchor_cancel($is_new ? '/app/datastore' : '/app/datastore/app/view/' . rawurlencode($values['app'])),
]);
echo form_footer();
echo form_close();

if (!$is_new) {
    echo box_open(lang('datastore_mapping_remove'), ['id' => 'ds-mapping-remove']);
    echo box_content_open();
    echo '<p>' . lang('datastore_mapping_remove_help') . "</p>\n";
    echo Markup::button('datastore/mapping/remove', ['app' => $values['app']], lang('datastore_mapping_remove'));
    echo box_content_close();
    echo box_close();
}

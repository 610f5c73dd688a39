<?php

/**
 * A new volume.
 */

use \clearos\apps\datastore\Datastore as Library;
use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('volume');

// What an exception says is HTML already.
if ($error !== '')
    echo infobox_warning(lang('datastore_not_done'), $error);

$devices = [];
foreach ($candidates as $candidate) {
    $what = array_filter([Text::bytes($candidate['bytes']), $candidate['model'] ?? '', $candidate['fstype'] ?? '', $candidate['label'] ?? '']);
    $devices[Text::html($candidate['device'])] = Text::html($candidate['device'] . ' (' . implode(', ', $what) . ')');
}
$formats = ['' => lang('datastore_format_keep')];
foreach (Library::FILE_SYSTEMS as $format)
    $formats[$format] = sprintf(lang('datastore_format_with'), $format);
// The first name that is free.
for ($n = 0; in_array('data' . $n, $volumes, TRUE); $n++)
    continue;

echo form_open('datastore/volumes/add', ['id' => 'ds-volume-add'], []);
echo form_header(lang('datastore_volume_add'));
if (empty($devices)) {
    echo '<p>' . lang('datastore_no_candidates') . "</p>\n";
    echo field_button_set([anchor_cancel('/app/datastore/volumes')]);
} else {
    echo form_banner(lang('datastore_volume_help'));
    echo field_input('volume', 'data' . $n, lang('datastore_volume_name'));
    echo field_dropdown('device', $devices, '', lang('datastore_device'));
    echo field_dropdown('format', $formats, '', lang('datastore_format'));
    echo field_input('confirm', '', lang('datastore_confirm'));
    echo field_button_set([form_submit_custom('submit', lang('datastore_volume_add'), 'high'), anchor_cancel('/app/datastore/volumes')]);
}
echo form_footer();
echo form_close();

<?php

/**
 * An app.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('app');

$states = array_column($mappings, 'state');
$has = function (...$some) use ($states) { return array_intersect($some, $states) !== []; };

// Mappings, and what can be done with them at once
//-------------------------------------------------

$verbs = [];
if ($has('disabled'))
    $verbs[] = 'enable';
if ($has('inactive', 'pending', 'drifted'))
    $verbs[] = 'start';
if (in_array('mount-point-not-empty', array_column($mappings, 'reason'), TRUE))
    $verbs[] = 'import';
if ($has('active', 'drifted'))
    array_push($verbs, 'restart', 'stop');
if ($has('pending', 'drifted', 'refused'))
    $verbs[] = 'remap';
if (!$has('disabled'))
    $verbs[] = 'disable';

echo box_open(Text::html($app), ['id' => 'ds-app']);
echo box_content_open();
echo Markup::mappings($mappings, $app);
echo "<div class='ds-actions'>\n";
foreach ($verbs as $i => $verb)
    echo Markup::plan_button($verb, $app, [], '', $i === 0 && !in_array($verb, ['restart', 'disable'], TRUE) ? 'primary' : 'secondary');
echo "<a href='/app/datastore/records/app/" . rawurlencode($app) . "' class='btn btn-link'>" . lang('datastore_log') . "</a>\n";
echo "<a href='/app/datastore/mapping/edit/" . rawurlencode($app) . "' class='btn btn-link'>" . lang('datastore_mapping_edit') . "</a>\n";
echo "</div>\n";
echo box_content_close();
echo box_close();

// Move
//-----

$here = array_values(array_unique(array_column($mappings, 'volume')));
$others = [];
foreach ($volumes as $volume) {
    if ($volume['state'] === 'active' && !$volume['read_only'] && $here !== [$volume['volume']])
        $others[$volume['volume']] = Text::html($volume['volume'] . ' (' . sprintf(lang('datastore_free'), Text::bytes($volume['bytes_free'])) . ')');
}
if (!$has('disabled')) {
    echo form_open('datastore/plan/make', ['id' => 'ds-move'], []);
    echo form_header(lang('datastore_move_elsewhere'));
    if (empty($others)) {
        echo form_banner(lang('datastore_no_other_volume'));
    } else {
        echo Markup::hidden('verb', 'move') . Markup::hidden('app', $app) . "\n";
        echo field_dropdown('to', $others, '', lang('datastore_volume'));
        echo field_input('max-downtime', '', lang('datastore_max_downtime'));
        echo field_dropdown('verify', ['' => lang('datastore_verify_usual'), 'content' => lang('datastore_verify_content')], '', lang('datastore_verify'));
        echo field_button_set([form_submit_custom('submit', lang('datastore_make_plan'), 'high')]);
    }
    echo form_footer();
    echo form_close();
}

// What can be taken back
//-----------------------

if (!empty($parked)) {
    echo box_open(lang('datastore_parked'), ['id' => 'ds-parked']);
    echo box_content_open();
    echo '<p>' . lang('datastore_parked_help') . "</p>\n" . Markup::trees($parked);
    echo "<div class='ds-actions'>\n" . Markup::plan_button('reclaim', $app) . "</div>\n";
    echo box_content_close();
    echo box_close();

    echo form_open('datastore/plan/make', ['id' => 'ds-undo'], []);
    echo form_header(lang('datastore_undo_last'));
    echo Markup::hidden('verb', 'move') . Markup::hidden('app', $app) . Markup::hidden('undo', '1') . "\n";
    echo field_dropdown('keep', ['' => lang('datastore_keep_refuse'), 'old' => lang('datastore_keep_old'), 'new' => lang('datastore_keep_new')], '',
        lang('datastore_keep'));
    echo field_button_set([form_submit_custom('submit', lang('datastore_undo'), 'low')]);
    echo form_footer();
    echo form_close();
}

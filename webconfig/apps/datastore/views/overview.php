<?php

/**
 * Overview.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('');

// What runs or has stopped half-way
//----------------------------------

foreach ($operations as $operation) {
    $goal = '<code>' . Text::html($operation['goal']) . '</code>';
    if ($operation['state'] === 'moving') {
        $link = empty($operation['plan']) ? ''
            : " <a href='/app/datastore/operation/view/" . Text::html($operation['plan']) . "'>" . lang('datastore_follow') . '</a>';
        echo infobox_info(lang('datastore_at_work'), $goal . $link);
    } else {
        echo infobox_warning(lang('datastore_stopped_half_way'), "<p>$goal</p>" . Markup::detail($operation['trouble']) . Markup::mend($operation['hint'], ''));
    }
}

// Volumes
//--------

echo box_open(lang('datastore_volumes'), ['id' => 'ds-volumes']);
echo box_content_open();
if (empty($volumes))
    echo '<p>' . lang('datastore_no_volumes') . "</p>\n";
foreach ($volumes as $volume) {
    echo "<section class='ds-volume' data-volume='" . Text::html($volume['volume']) . "'><h4>" . Text::html($volume['volume']) . " <span class='ds-path'>"
        . Text::html($volume['path']) . '</span> ' . Markup::state($volume) . Markup::health($volume) . "</h4>\n";
    echo Markup::detail($volume['detail']) . Markup::picture($volume) . "</section>\n";
}
echo "<div class='ds-measured'>" . ($measured === NULL ? lang('datastore_never_measured') : sprintf(lang('datastore_measured'), Text::time($measured))) . ' ';
echo Markup::button('datastore/measure', ['measure' => '1'], lang('datastore_measure')) . "</div>\n";
echo box_content_close();
echo box_close();

// Mappings
//---------

$disabled = array_filter($mappings, function ($row) { return $row['state'] === 'disabled'; });
$asked = array_diff_key($mappings, $disabled);

echo box_open(lang('datastore_mappings'), ['id' => 'ds-mappings', 'anchors' => anchor_custom('/app/datastore/mapping/add', lang('datastore_mapping_add'))]);
echo box_content_open();
echo empty($asked) ? '<p>' . lang('datastore_no_mappings') . "</p>\n" : Markup::mappings($asked, lang('datastore_mappings'));
if (!empty($disabled)) {
    $title = sprintf(lang('datastore_disabled_apps'), count($disabled));
    echo "<details class='ds-more'><summary>" . Text::html($title) . "</summary>\n" . Markup::mappings($disabled, $title) . "</details>\n";
}
echo box_content_close();
echo box_close();

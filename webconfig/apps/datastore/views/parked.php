<?php

/**
 * Trees that were put aside, and how their room is had back.
 */

use \clearos\apps\datastore\Markup as Markup;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('parked');
echo box_open(lang('datastore_parked'), ['id' => 'ds-parked']);
echo box_content_open();
echo '<p>' . lang('datastore_parked_help') . "</p>\n";
if (empty($parked)) {
    echo '<p>' . lang('datastore_no_parked') . "</p>\n";
} else {
    echo Markup::trees($parked) . "<div class='ds-actions'>\n";
    foreach (array_unique(array_column($parked, 'app')) as $app)
        echo Markup::plan_button('reclaim', $app, [], sprintf(lang('datastore_reclaim_app'), $app));
    echo Markup::plan_button('reclaim', NULL, ['expired' => '1'], lang('datastore_reclaim_expired'));
    echo Markup::plan_button('reclaim', NULL, [], lang('datastore_reclaim_all'));
    echo "</div>\n";
}
echo box_content_close();
echo box_close();

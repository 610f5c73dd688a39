<?php

/**
 * A plan: what would be done, with bytes, time and services.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

$back = $app === NULL ? '/app/datastore' : '/app/datastore/app/view/' . rawurlencode($app);
$seconds = array_sum(array_map(function ($load) { return (int)$load['seconds']; }, $plan['loads']));
$services = array_filter($plan['steps'], function ($step) { return $step['kind'] === 'stop-services'; });

echo Markup::menu('plan');
echo box_open(sprintf(lang('datastore_plan_of'), '<code>' . Text::html($plan['goal']) . '</code>'), ['id' => 'ds-plan']);
echo box_content_open();

foreach ($plan['notes'] as $row) {
    echo "<section class='ds-note'><b>" . Text::html($row['mount_point']) . '</b> ' . Markup::state($row) . Markup::detail($row['detail'])
        . Markup::hint($row['hint']) . "</section>\n";
}

if ($plan['empty']) {
    echo '<p>' . lang('datastore_nothing_to_do') . "</p>\n" . Markup::remarks($plan['remarks']);
    echo "<div class='ds-actions'><a class='btn btn-primary' href='$back'>" . lang('datastore_back') . "</a></div>\n";
} else {
    if (!empty($plan['loads'])) {
        echo "<ul class='ds-loads'>\n";
        foreach ($plan['loads'] as $load) {
            echo '<li>' . sprintf(lang('datastore_load'), '<b>' . Text::html(Text::bytes($load['bytes'])) . '</b>', Text::html($load['entries']),
                "<span class='ds-path'>" . Text::html($load['path']) . '</span>', Text::html(Text::word('fate', $load['fate']))) . "</li>\n";
        }
        echo '<li>' . Text::html($seconds > 0 ? sprintf(lang('datastore_takes'), Text::seconds($seconds)) : lang('datastore_takes_no_time')) . "</li>\n</ul>\n";
    }
    if (!empty($services)) {
        echo '<p>' . lang('datastore_services_stop') . "</p>\n<ul>\n";
        foreach ($services as $step)
            echo '<li>' . Text::html($step['text']) . "</li>\n";
        echo "</ul>\n";
    }
    echo Markup::remarks($plan['remarks']);
    echo "<details class='ds-more'><summary>" . Text::html(sprintf(lang('datastore_steps'), count($plan['steps']))) . "</summary>\n<ol>\n";
    foreach ($plan['steps'] as $step)
        echo '<li>' . Text::html($step['text']) . "</li>\n";
    echo "</ol></details>\n<div class='ds-actions'>\n";
    echo Markup::button('datastore/plan/apply', ['plan' => $plan['id']], lang('datastore_apply_plan'), '', 'primary');
    echo "<a class='btn btn-secondary' href='$back'>" . lang('datastore_cancel') . "</a>\n</div>\n";
}
echo box_content_close();
echo box_close();

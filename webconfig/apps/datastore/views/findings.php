<?php

/**
 * What was found when everything was held against everything.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

$levels = ['error' => 'bad', 'warning' => 'open', 'note' => 'quiet'];

echo Markup::menu('findings');
echo box_open(lang('datastore_findings'), ['id' => 'ds-findings']);
echo box_content_open();
if (empty($findings['findings']))
    echo '<p>' . lang('datastore_no_findings') . "</p>\n";
if (empty($findings['complete']))
    echo '<p>' . lang('datastore_not_complete') . "</p>\n";
foreach ($findings['findings'] as $finding) {
    $subject = implode(' ', array_filter([$finding['app'], $finding['mount_point'], $finding['path']]));
    echo "<section class='ds-note'><h4>" . Markup::badge($levels[$finding['severity']] ?? 'bad', lang('datastore_severity_' . $finding['severity'])) . ' '
        . Text::html($subject) . "</h4>\n" . Markup::detail($finding['detail']) . Markup::detail($finding['cause']) . Markup::mend($finding['hint'], $subject)
        . "</section>\n";
}
echo box_content_close();
echo box_close();

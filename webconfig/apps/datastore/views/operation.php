<?php

/**
 * How far an operation is, and what came of it.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('operation');

// While it runs
//--------------

if ($result['state'] === 'running') {
    $percent = (int)$result['percent'];
    echo box_open(lang('datastore_at_work'), ['id' => 'ds-operation']);
    echo box_content_open();
    // Whoever has no script sees a new page now and then.
    echo "<noscript><meta http-equiv='refresh' content='3'></noscript>\n";
    echo "<div id='ds-follow' data-url='/app/datastore/operation/progress/" . Text::html($name) . "'>\n";
    echo "<progress id='ds-progress' max='100' value='$percent' aria-label='" . Text::html(lang('datastore_at_work')) . "'>$percent%</progress>\n";
    echo "<p><b id='ds-percent'>$percent%</b> <span id='ds-what'>" . Text::html($result['what']) . "</span></p>\n";
    echo "<p><span id='ds-amount'>" . Text::html($result['amount']) . "</span> <span id='ds-left'>" . Text::html($result['left']) . "</span></p>\n";
    // A screen reader is told now and then, not twice a second.
    echo "<p id='ds-spoken' class='ds-unseen' role='status'></p>\n</div>\n<p>" . lang('datastore_goes_on') . "</p>\n";
    echo box_content_close();
    echo box_close();
    return;
}

// What came of it
//----------------

$report = $result['report'];
// `recover` has a report for each operation that it finished.
$reports = isset($report['outcome']) ? [$report] : ($report['recovered'] ?? []);

if (isset($report['error'])) {
    $error = $report['error'];
    $message = "<p class='ds-message'>" . Text::html($error['message']) . '</p>';
    foreach ($error['causes'] ?? [] as $cause)
        $message .= "<p class='ds-cause'>" . Text::html($cause) . '</p>';
    echo infobox_warning(lang('datastore_not_done'), $message . Markup::mend($error['hint'] ?? '', ''));
} else if ($reports === []) {
    echo infobox_highlight(lang('datastore_done'), '<p>' . lang('datastore_nothing_to_do') . '</p>');
}

foreach ($reports as $one) {
    $is_done = $one['outcome'] === 'done';
    $message = '<p><code>' . Text::html($one['goal']) . '</code>: ' . Text::html(Text::word('outcome', $one['outcome'])) . '</p>';
    foreach ($one['failed'] as $row)
        $message .= "<p class='ds-message'><b>" . Text::html($row['mount_point'] ?? '') . '</b> ' . Text::html($row['detail'] ?? '') . '</p>' . Markup::hint($row['hint'] ?? '');
    echo $is_done ? infobox_highlight(lang('datastore_done'), $message) : infobox_warning(lang('datastore_not_done'), $message);

    $parts = array_map(function ($part) { return sprintf('%s %.3F s', $part['what'], $part['ms'] / 1000); }, $one['downtime']['parts'] ?? []);
    echo box_open(lang('datastore_receipt'), ['id' => 'ds-receipt']);
    echo box_content_open();
    echo Markup::facts([
        'datastore_operation' => $one['operation'] ?? '',
        'datastore_steps_done' => $one['done'] . '/' . $one['steps'],
        'datastore_took' => isset($one['timing']['apply_ms']) ? sprintf('%.2F s', $one['timing']['apply_ms'] / 1000) : '',
        'datastore_downtime' => empty($one['downtime']) ? '' : sprintf('%.3F s (%s)', $one['downtime']['ms'] / 1000, implode(', ', $parts)),
    ]);
    echo Markup::remarks($one['remarks']) . "<div class='ds-actions'>\n";
    if ($is_done && preg_match('/\A(?:import|move) (' . Text::APP . ')/', $one['goal'], $found)) {
        echo Markup::plan_button('move', $found[1], ['undo' => '1'], lang('datastore_undo'));
        echo "<a class='btn btn-secondary' href='/app/datastore/app/view/" . rawurlencode($found[1]) . "'>" . Text::html($found[1]) . "</a>\n";
    }
    echo "<a class='btn btn-primary' href='/app/datastore'>" . lang('datastore_overview') . "</a>\n</div>\n";
    echo box_content_close();
    echo box_close();
}

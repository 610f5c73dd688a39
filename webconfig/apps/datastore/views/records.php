<?php

/**
 * Which operations have run.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('records');

$items = [];
foreach ($records as $record) {
    $trouble = $record['detail'];
    foreach ($record['failures'] as $failure)
        $trouble .= ' ' . (is_array($failure) ? implode(' ', array_filter($failure, 'is_string')) : $failure);
    $items[] = [
        'title' => $record['operation'],
        'action' => '',
        'anchors' => '',
        'details' => [
            Text::html(Text::time($record['at'])),
            '<code>' . Text::html($record['goal']) . '</code>',
            Text::html(Text::word('outcome', $record['outcome'])) . (trim($trouble) === '' ? '' : Markup::detail(trim($trouble))),
            Text::html($record['user']),
        ],
    ];
}

echo summary_table(
    $app === NULL ? lang('datastore_log') : lang('datastore_log') . ': ' . Text::html($app),
    [],
    [lang('datastore_when'), lang('datastore_goal'), lang('datastore_outcome'), lang('datastore_who')],
    $items,
    ['id' => 'ds-records', 'no_action' => TRUE, 'sort-default-col' => 0, 'sort-default-dir' => 'desc', 'empty_table_message' => lang('datastore_no_records')]
);

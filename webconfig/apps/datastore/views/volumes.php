<?php

/**
 * Volumes: space and health.
 */

use \clearos\apps\datastore\Markup as Markup;
use \clearos\apps\datastore\Text as Text;

$this->lang->load('base');
$this->lang->load('datastore');

echo Markup::menu('volumes');
echo box_open(lang('datastore_volumes'), ['id' => 'ds-volumes', 'anchors' => anchor_custom('/app/datastore/volumes/add', lang('datastore_volume_add'))]);
echo box_content_open();
if (empty($volumes))
    echo '<p>' . lang('datastore_no_volumes') . "</p>\n";
foreach ($volumes as $volume) {
    $is_healthy = $volume['state'] === 'active' && !$volume['nearly_full'] && !$volume['read_only'];
    echo "<section class='ds-volume' data-volume='" . Text::html($volume['volume']) . "'><h4>" . Text::html($volume['volume']) . ' ' . Markup::state($volume)
        . Markup::health($volume) . ($is_healthy ? ' ' . Markup::badge('good', lang('datastore_healthy')) : '') . "</h4>\n";
    echo Markup::detail($volume['detail']) . Markup::hint($volume['hint']) . Markup::picture($volume);
    echo Markup::facts([
        'datastore_path' => $volume['path'],
        'datastore_device' => $volume['source'],
        'datastore_file_system' => $volume['fstype'],
        'datastore_inodes' => empty($volume['inodes']) ? '' : sprintf(lang('datastore_of'), number_format($volume['inodes'] - $volume['inodes_free']),
            number_format($volume['inodes'])),
        'datastore_mappings' => $volume['mappings'],
    ]);
    if ($volume['mappings'] === 0)
        echo Markup::button('datastore/volumes/remove', ['volume' => $volume['volume']], lang('datastore_volume_remove'), $volume['volume']);
    echo "</section>\n";
}
echo box_content_close();
echo box_close();

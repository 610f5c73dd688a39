<?php

/////////////////////////////////////////////////////////////////////////////
// General information
/////////////////////////////////////////////////////////////////////////////

$app['basename'] = 'datastore';
$app['version'] = '0.1.0';
$app['release'] = '1';
$app['vendor'] = 'datastore';
$app['packager'] = 'datastore';
$app['license'] = 'MIT OR Apache-2.0';
$app['license_core'] = 'MIT OR Apache-2.0';
$app['description'] = lang('datastore_app_description');

/////////////////////////////////////////////////////////////////////////////
// App name and categories
/////////////////////////////////////////////////////////////////////////////

$app['name'] = lang('datastore_app_name');
$app['category'] = lang('base_category_system');
$app['subcategory'] = lang('base_subcategory_storage');

/////////////////////////////////////////////////////////////////////////////
// Controllers
/////////////////////////////////////////////////////////////////////////////

// The others have no title: the framework would take their pages for parts of this one, and send their readers here.
$app['controllers']['datastore']['title'] = $app['name'];
$app['controllers']['datastore']['inline_help'] = array(
    lang('datastore_big_picture') => lang('datastore_help_overview'),
);

/////////////////////////////////////////////////////////////////////////////
// Packaging
/////////////////////////////////////////////////////////////////////////////

$app['requires'] = array(
    'app-base >= 1:1.4.31',
);

$app['core_requires'] = array(
    'app-base-core >= 1:1.4.31',
    'datastore',
    'php-datastore',
);

$app['core_file_manifest'] = array(
    'Storage.php' => array('target' => '/usr/clearos/apps/storage/libraries/Storage.php'),
    'storage' => array(
        'target' => '/usr/sbin/storage',
        'mode' => '0755',
    ),
    'storage.init' => array(
        'target' => '/etc/rc.d/init.d/storage',
        'mode' => '0755',
    ),
);

<?php

/**
 * The name under which callers and pages of app-storage know it: installed as storage/libraries/Storage.php.
 */

namespace clearos\apps\storage;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

clearos_load_library('datastore/Storage');

/**
 * The storage engine of ClearOS.
 */
class Storage extends \clearos\apps\datastore\Storage
{
}

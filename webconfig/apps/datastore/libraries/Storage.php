<?php

/**
 * What callers and pages of ClearOS's app-storage ask, answered by the data store: the same methods, array shapes and names of states.
 *
 * Unlike there, what is bound is what the kernel says, a state is never older than the question, and nothing that an app says is executed.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

use \clearos\apps\base\Engine as Engine;
use \clearos\apps\base\File as File;

clearos_load_library('base/Engine');
clearos_load_library('base/File');
clearos_load_library('datastore/Datastore');

/**
 * The storage engine of ClearOS.
 */
class Storage extends Engine
{
    const FILE_INITIALIZED = '/var/clearos/storage/initialized';

    const STATE_BASE_NOT_EXIST = 'base_not_exist';
    const STATE_SOURCE_FOLDER_NOT_EXIST = 'source_folder_not_exist';
    const STATE_SOURCE_FOLDER_NON_EMPTY = 'source_folder_non_empty';
    const STATE_SOURCE_ALREADY_HAS_MOUNT = 'already_has_mount';
    const STATE_STORE_ACTIVE = 'active';
    const STATE_STORE_MOUNT_FAILED = 'mount_failed';
    // The spelling is part of the interface.
    const STATE_UNITIALIZED = 'unitialized';

    const STATE_LEVEL_GOOD = 'good';
    const STATE_LEVEL_BAD = 'bad';

    /** The states of a mapping; what is not here has not been bound and nothing is known to be in the way. */
    const STATES = [
        'active' => self::STATE_STORE_ACTIVE,
        'drifted' => self::STATE_STORE_ACTIVE,
        'moving' => self::STATE_STORE_ACTIVE,
    ];

    /** Why a mapping is refused; any other reason is a mount that failed. */
    const REASONS = [
        'volume-missing' => self::STATE_BASE_NOT_EXIST,
        'wrong-volume' => self::STATE_BASE_NOT_EXIST,
        'mount-point-not-empty' => self::STATE_SOURCE_FOLDER_NON_EMPTY,
        'foreign-mount' => self::STATE_SOURCE_ALREADY_HAS_MOUNT,
        'wrong-store' => self::STATE_SOURCE_ALREADY_HAS_MOUNT,
    ];

    /** @var Datastore */
    private $datastore;

    public function __construct()
    {
        clearos_profile(__METHOD__, __LINE__);

        $this->datastore = new Datastore();
    }

    /**
     * Makes the machine as its configuration asks for.
     *
     * @return void
     * @throws \clearos\apps\base\Engine_Exception
     */
    public function do_mount()
    {
        clearos_profile(__METHOD__, __LINE__);

        $plan = $this->datastore->make_plan('apply', NULL);
        if (!$plan['empty'])
            $this->datastore->apply_plan($plan['id'], TRUE);
        // What the constructor's look has seen is not so any more.
        $this->datastore = new Datastore();
    }

    /**
     * Returns the directory below which store directories are: that of the first volume.
     *
     * @return string storage base
     */
    public function get_base()
    {
        clearos_profile(__METHOD__, __LINE__);

        $status = $this->datastore->get_status();
        $path = empty($status['volumes']) ? '/store/data0' : $status['volumes'][0]['path'];

        return $path . '/live/' . $status['host'];
    }

    /**
     * Returns storage mappings: by app `name` and `mappings`; those by mount point `store`, `state`, `state_message`, `state_level`.
     *
     * @return array storage mappings
     */
    public function get_mapping_details()
    {
        clearos_profile(__METHOD__, __LINE__);

        $mappings = [];
        foreach ($this->datastore->get_status()['mappings'] as $row) {
            // One that is declared and not asked for was not there in app-storage, which had no such thing.
            if ($row['state'] === 'disabled' || $row['mount_point'] === '')
                continue;
            $mappings[$row['app']]['name'] = $row['app'];
            $mappings[$row['app']]['mappings'][$row['mount_point']] = $this->detail($row);
        }

        return $mappings;
    }

    /**
     * Returns storage mount points.
     *
     * @return array where the volumes are
     */
    public function get_mount_points()
    {
        clearos_profile(__METHOD__, __LINE__);

        return array_column($this->datastore->get_status()['volumes'], 'path');
    }

    /**
     * Returns details on store.
     *
     * @param string $store_name mount point
     *
     * @return array as in `get_mapping_details`, and `plugin_name`; empty if there is none
     */
    public function get_store_details($store_name)
    {
        clearos_profile(__METHOD__, __LINE__);

        foreach ($this->get_mapping_details() as $app => $details) {
            if (isset($details['mappings'][$store_name]))
                return $details['mappings'][$store_name] + ['plugin_name' => $app];
        }

        return [];
    }

    /**
     * Returns the state of a mapping.
     *
     * @param string $source_name mount point
     *
     * @return string one of the STATE constants
     */
    public function get_state($source_name)
    {
        clearos_profile(__METHOD__, __LINE__);

        $row = $this->row($source_name);

        return $row === NULL ? self::STATE_UNITIALIZED : self::state($row);
    }

    /**
     * Returns what is to be said of the state of a mapping.
     *
     * @param string $source_name mount point
     *
     * @return string
     */
    public function get_state_message($source_name)
    {
        clearos_profile(__METHOD__, __LINE__);

        $row = $this->row($source_name);

        return $row === NULL ? self::STATE_UNITIALIZED : self::message($row);
    }

    /**
     * Notes that the administrator has been asked.
     *
     * @return void
     */
    public function set_initialized()
    {
        clearos_profile(__METHOD__, __LINE__);

        $file = new File(self::FILE_INITIALIZED);
        if (!$file->exists())
            $file->create('root', 'root', '0644');
    }

    ///////////////////////////////////////////////////////////////////////////
    // P R I V A T E   M E T H O D S
    ///////////////////////////////////////////////////////////////////////////

    private function row($mount_point)
    {
        foreach ($this->datastore->get_status()['mappings'] as $row) {
            if ($row['mount_point'] === $mount_point)
                return $row;
        }

        return NULL;
    }

    private function detail($row)
    {
        $state = self::state($row);

        return [
            'store' => $row['store'],
            'state' => $state,
            'state_message' => self::message($row),
            'state_level' => $state === self::STATE_STORE_ACTIVE ? self::STATE_LEVEL_GOOD : self::STATE_LEVEL_BAD,
        ];
    }

    private static function state($row)
    {
        if ($row['state'] === 'refused')
            return self::REASONS[$row['reason']] ?? self::STATE_STORE_MOUNT_FAILED;

        return self::STATES[$row['state']] ?? self::STATE_UNITIALIZED;
    }

    private static function message($row)
    {
        return Text::html($row['detail'] !== '' ? $row['detail'] : Text::word('state', $row['state']));
    }
}

<?php

/**
 * What Webconfig asks of the data store, and what it asks to be done.
 *
 * Everything that is shown is read in this process, through the PHP extension, with no more rights than the web server has. What root alone can
 * see or do goes through one command, which sudo allows and which takes nothing but a few fixed command lines (see its manual): a verb, an
 * app that is declared, a volume that is there. Every change is planned first, and the plan that was shown is what is applied, or nothing.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

clearos_load_language('base');
clearos_load_language('datastore');

use \clearos\apps\base\Engine as Engine;
use \clearos\apps\base\Engine_Exception as Engine_Exception;
use \clearos\apps\base\Validation_Exception as Validation_Exception;

clearos_load_library('base/Engine');
clearos_load_library('base/Engine_Exception');
clearos_load_library('base/Validation_Exception');
clearos_load_library('datastore/Gate');
clearos_load_library('datastore/Markup');
clearos_load_library('datastore/Progress');
clearos_load_library('datastore/Refused_Exception');
clearos_load_library('datastore/Space');
clearos_load_library('datastore/Text');

/**
 * The data store of this machine.
 */
class Datastore extends Engine
{
    /** What a plan can be made of. */
    const VERBS = ['apply', 'start', 'stop', 'restart', 'enable', 'disable', 'remap', 'import', 'move', 'reclaim'];
    /** What a plan can be given: what may stand there, or what says so. */
    const OPTIONS = [
        'to' => 'validate_volume',
        'max-downtime' => 'validate_seconds',
        'verify' => ['content'],
        'undo' => [TRUE],
        'keep' => ['old', 'new'],
        'resume' => [TRUE],
        'abort' => [TRUE],
        'expired' => [TRUE],
    ];
    /** What a new volume can be formatted with. */
    const FILE_SYSTEMS = ['ext4', 'xfs', 'btrfs'];

    /** @var Gate */
    private $gate;

    /** @var \Datastore\Store|null */
    private $store = NULL;

    /** @var array|null what `status` said: one page is one look */
    private $status = NULL;

    /** @var array|null what `usage` said */
    private $usage = NULL;

    public function __construct()
    {
        clearos_profile(__METHOD__, __LINE__);

        $this->gate = new Gate();
    }

    ///////////////////////////////////////////////////////////////////////////
    // What is
    ///////////////////////////////////////////////////////////////////////////

    /**
     * What is bound where, from the kernel: `host`, `mappings`, `volumes`, `operations`.
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_status()
    {
        clearos_profile(__METHOD__, __LINE__);

        if ($this->status === NULL)
            $this->status = $this->ask(function ($store) { return $store->status(); });

        return $this->status;
    }

    /**
     * The mappings with what is known of their size.
     *
     * @return array rows of `status`, each with `bytes` and `entries` (NULL where nobody has measured)
     * @throws Engine_Exception
     */
    public function get_mappings()
    {
        clearos_profile(__METHOD__, __LINE__);

        $sizes = [];
        foreach ($this->get_usage()['stores'] as $row)
            $sizes[$row['mount_point']] = $row;

        $mappings = [];
        foreach ($this->get_status()['mappings'] as $row) {
            $size = $sizes[$row['mount_point']] ?? [];
            $row['bytes'] = $size['bytes'] ?? NULL;
            $row['entries'] = $size['entries'] ?? NULL;
            $mappings[] = $row;
        }

        return $mappings;
    }

    /**
     * The mappings of one app.
     *
     * @param string $app app
     *
     * @return array
     * @throws Engine_Exception, Validation_Exception
     */
    public function get_app($app)
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_app($app));

        return array_values(array_filter($this->get_mappings(), function ($row) use ($app) {
            return $row['app'] === $app;
        }));
    }

    /**
     * What the configuration says of an app with one mapping, as a form takes it.
     *
     * @param string $app app
     *
     * @return array `app`, `title`, `mount_point`, `target`, `volume`, `owner`, `group`, `permissions`
     * @throws Engine_Exception, Validation_Exception
     */
    public function get_mapping($app)
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_app($app));

        // Anybody may read the configuration.
        $document = $this->gate->read(['config', 'show', $app, '--json']);
        foreach ($document['apps'] as $shown) {
            if ($shown['app'] !== $app || count($shown['mappings']) !== 1)
                continue;
            $values = ['app' => $app, 'title' => $shown['title']];
            foreach ($shown['mappings'][0] as $key => $value)
                $values[$key] = is_array($value) ? ($value['value'] ?? '') : $value;
            // As it is written, so that it follows when the app moves.
            foreach ($document['volumes'] as $volume) {
                $base = $volume['path'] . '/live/' . $document['host'] . '/';
                if (strncmp($values['target'], $base, strlen($base)) === 0)
                    $values['target'] = '%{base}/' . substr($values['target'], strlen($base));
            }
            return array_intersect_key($values, array_flip(['app', 'title', 'mount_point', 'target', 'volume', 'owner', 'group', 'permissions']));
        }

        throw new Refused_Exception('refused', sprintf(lang('datastore_not_one_mapping'), $app), '');
    }

    /**
     * The names of all apps.
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_apps()
    {
        clearos_profile(__METHOD__, __LINE__);

        return array_values(array_unique(array_column($this->get_status()['mappings'], 'app')));
    }

    /**
     * The volumes with what fills them: see `Space::of`.
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_volumes()
    {
        clearos_profile(__METHOD__, __LINE__);

        $usage = $this->get_usage();

        return array_map(function ($volume) use ($usage) { return Space::of($volume, $usage); }, $this->get_status()['volumes']);
    }

    /**
     * What fills the volumes, as it was last measured: `measured`, `stores`, `parked`.
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_usage()
    {
        clearos_profile(__METHOD__, __LINE__);

        if ($this->usage === NULL)
            $this->usage = $this->ask(function ($store) { return $store->usage(); });

        return $this->usage;
    }

    /**
     * The trees that `import` and `move` have put aside, of one app or of all.
     *
     * @param string|null $app app
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_parked($app = NULL)
    {
        clearos_profile(__METHOD__, __LINE__);

        return array_values(array_filter($this->get_usage()['parked'], function ($tree) use ($app) {
            return $app === NULL || $tree['app'] === $app;
        }));
    }

    ///////////////////////////////////////////////////////////////////////////
    // What root sees
    ///////////////////////////////////////////////////////////////////////////

    /**
     * What holding everything against everything found.
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_findings()
    {
        clearos_profile(__METHOD__, __LINE__);

        return $this->gate->ask(['doctor', '--json']);
    }

    /**
     * Which operations have run, the newest first.
     *
     * @param string|null $app of one app
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_log($app = NULL)
    {
        clearos_profile(__METHOD__, __LINE__);

        $words = ['log'];
        if ($app !== NULL) {
            Validation_Exception::is_valid($this->validate_app($app));
            $words[] = $app;
        }
        $words[] = '--json';

        return array_reverse($this->gate->ask($words)['operations']);
    }

    /**
     * Disks that could become a volume.
     *
     * @return array
     * @throws Engine_Exception
     */
    public function get_candidates()
    {
        clearos_profile(__METHOD__, __LINE__);

        return $this->gate->ask(['volume', 'candidates', '--json'])['candidates'];
    }

    /**
     * Begins to measure what fills the volumes, which takes its time.
     *
     * @return string the name for `get_result`
     * @throws Engine_Exception
     */
    public function measure()
    {
        clearos_profile(__METHOD__, __LINE__);

        return $this->gate->begin(['usage', '--json']);
    }

    ///////////////////////////////////////////////////////////////////////////
    // Changes
    ///////////////////////////////////////////////////////////////////////////

    /**
     * Makes a plan and keeps it; changes nothing else.
     *
     * @param string      $verb    one of VERBS
     * @param string|null $app     app; NULL for all where the verb can do that
     * @param array       $options of the command line, by their name
     *
     * @return array the plan
     * @throws Engine_Exception, Validation_Exception
     */
    public function make_plan($verb, $app, $options = [])
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_verb($verb));
        if ($app !== NULL)
            Validation_Exception::is_valid($this->validate_app($app));
        else if (!in_array($verb, ['apply', 'reclaim'], TRUE))
            throw new Validation_Exception(lang('datastore_app_invalid'));

        $words = ['plan', $verb];
        if ($app !== NULL)
            $words[] = $app;

        return $this->gate->ask(array_merge($words, $this->options($options), ['--save', '--json']));
    }

    /**
     * Begins what a plan says. What comes of it: `get_result`.
     *
     * @param string  $plan the plan's id
     * @param boolean $wait whether to wait for the end
     *
     * @return void
     * @throws Engine_Exception, Validation_Exception
     */
    public function apply_plan($plan, $wait = FALSE)
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_plan($plan));

        $words = ['apply', '--plan', $plan, '--yes', '--json'];
        if ($wait)
            $this->gate->ask($words);
        else
            $this->gate->begin($words, $plan);
    }

    /**
     * How far that is which was begun under a name: see `Progress`.
     *
     * @param string $name the plan's id, or what `recover` and `add_volume` gave back
     *
     * @return array
     * @throws Engine_Exception, Validation_Exception
     */
    public function get_result($name)
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_plan($name));

        // First what runs, then what the command has said: what ends in between has said so.
        $running = $this->running($name);
        if (isset($running['report']))
            return $running;
        $said = $this->gate->said($name, $running !== NULL);

        return $said === NULL ? $running ?? Progress::none() : Progress::ended($said);
    }

    /**
     * Finishes what has stopped half-way.
     *
     * @return string the name for `get_result`
     * @throws Engine_Exception
     */
    public function recover()
    {
        clearos_profile(__METHOD__, __LINE__);

        return $this->gate->begin(['recover', '--yes', '--json']);
    }

    /**
     * Adds a mapping, or changes one that was added like this. What may be added is root's to say, in /etc/datastore.conf.
     *
     * @param array $document `app`, `title` and `mappings`
     *
     * @return array what the command says
     * @throws Engine_Exception
     */
    public function add_mapping($document)
    {
        clearos_profile(__METHOD__, __LINE__);

        $json = json_encode($document, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        if ($json === FALSE)
            throw new Validation_Exception(lang('datastore_text_invalid'));

        return $this->gate->ask(['config', 'add', '--json'], $json);
    }

    /**
     * Forgets a mapping that was added like that; its data stays.
     *
     * @param string $app app
     *
     * @return array what the command says
     * @throws Engine_Exception, Validation_Exception
     */
    public function remove_mapping($app)
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_app($app));

        return $this->gate->ask(['config', 'remove', $app, '--json']);
    }

    /**
     * Makes a disk a volume.
     *
     * @param string $name   name of the volume
     * @param string $device one of `get_candidates`
     * @param string $format one of FILE_SYSTEMS; empty to take the file system that is on it
     *
     * @return string the name for `get_result`
     * @throws Engine_Exception, Validation_Exception
     */
    public function add_volume($name, $device, $format)
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_new_volume($name));
        Validation_Exception::is_valid($this->validate_candidate($device));

        $words = ['volume', 'add', $name, '--device', $device];
        if ($format !== '') {
            Validation_Exception::is_valid($this->validate_file_system($format));
            array_push($words, '--format', $format);
        }

        return $this->gate->begin(array_merge($words, ['--yes', '--json']));
    }

    /**
     * Forgets a volume that no app uses; what is on it stays.
     *
     * @param string $name volume
     *
     * @return string the name for `get_result`
     * @throws Engine_Exception, Validation_Exception
     */
    public function remove_volume($name)
    {
        clearos_profile(__METHOD__, __LINE__);

        Validation_Exception::is_valid($this->validate_volume($name));

        return $this->gate->begin(['volume', 'remove', $name, '--yes', '--json']);
    }

    ///////////////////////////////////////////////////////////////////////////
    // Validation: what is wrong, or an empty string
    ///////////////////////////////////////////////////////////////////////////

    public function validate_verb($verb)
    {
        return in_array($verb, self::VERBS, TRUE) ? '' : lang('datastore_verb_invalid');
    }

    public function validate_app($app)
    {
        return is_string($app) && in_array($app, $this->get_apps(), TRUE) ? '' : lang('datastore_app_invalid');
    }

    public function validate_volume($name)
    {
        $volumes = array_column($this->get_status()['volumes'], 'volume');

        return is_string($name) && in_array($name, $volumes, TRUE) ? '' : lang('datastore_volume_invalid');
    }

    public function validate_new_volume($name)
    {
        return is_string($name) && preg_match('/\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z/', $name) ? '' : lang('datastore_volume_name_invalid');
    }

    public function validate_candidate($device)
    {
        return in_array($device, array_column($this->get_candidates(), 'device'), TRUE) ? '' : lang('datastore_device_invalid');
    }

    public function validate_file_system($format)
    {
        return in_array($format, self::FILE_SYSTEMS, TRUE) ? '' : lang('datastore_file_system_invalid');
    }

    public function validate_plan($plan)
    {
        return is_string($plan) && preg_match('/\A[0-9a-f]{8,64}\z/', $plan) ? '' : lang('datastore_plan_invalid');
    }

    public function validate_seconds($seconds)
    {
        return is_string($seconds) && preg_match('/\A[0-9]{1,5}\z/', $seconds) ? '' : lang('datastore_seconds_invalid');
    }

    /** Only what no program can tell apart is refused here: everything else is the command's to say. */
    public function validate_text($text)
    {
        return is_string($text) && strlen($text) <= 1000 && !preg_match('/[\x00-\x1f\x7f]/', $text) ? '' : lang('datastore_text_invalid');
    }

    ///////////////////////////////////////////////////////////////////////////
    // P R I V A T E   M E T H O D S
    ///////////////////////////////////////////////////////////////////////////

    /**
     * Asks the extension.
     *
     * @param callable $question is given the store
     *
     * @return mixed
     * @throws Engine_Exception
     */
    private function ask($question)
    {
        if (!class_exists('\Datastore\Store'))
            throw new Engine_Exception(lang('datastore_extension_missing'));

        try {
            if ($this->store === NULL)
                $this->store = new \Datastore\Store('/');
            return $question($this->store);
        } catch (\Datastore\Exception $e) {
            throw new Refused_Exception($e->getReason(), $e->getMessage(), $e->getHint());
        }
    }

    /** How far the operation is that runs a plan, or NULL if none does. */
    private function running($plan)
    {
        foreach ($this->get_status()['operations'] as $operation) {
            if (($operation['plan'] ?? '') !== $plan)
                continue;
            if ($operation['state'] === 'interrupted')
                return Progress::stopped($operation);
            try {
                return Progress::running($this->ask(function ($store) use ($operation) { return $store->operation($operation['operation']); }));
            } catch (Engine_Exception $e) {
                // It has ended since.
                return NULL;
            }
        }

        return NULL;
    }

    /** The words of options, checked, in the order in which the command takes them. */
    private function options($options)
    {
        $words = [];
        foreach (self::OPTIONS as $option => $check) {
            if (!isset($options[$option]))
                continue;
            $value = $options[$option];
            unset($options[$option]);
            if (is_string($check))
                Validation_Exception::is_valid($this->$check($value));
            else if (!in_array($value, $check, TRUE))
                throw new Validation_Exception(lang('datastore_option_invalid'));
            $words[] = '--' . $option;
            if ($value !== TRUE)
                $words[] = $value;
        }
        if ($options !== [])
            throw new Validation_Exception(lang('datastore_option_invalid'));

        return $words;
    }
}

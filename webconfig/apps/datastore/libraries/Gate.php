<?php

/**
 * The command: what root alone can see or do goes through it, and nothing else is allowed by sudo.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

clearos_load_language('datastore');

use \clearos\apps\base\Engine as Engine;
use \clearos\apps\base\Shell as Shell;
use \clearos\apps\base\Validation_Exception as Validation_Exception;

clearos_load_library('base/Engine');
clearos_load_library('base/Shell');
clearos_load_library('base/Validation_Exception');
clearos_load_library('datastore/Refused_Exception');

/**
 * The command.
 */
class Gate extends Engine
{
    /** The only command that sudo allows. */
    const COMMAND = '/usr/sbin/datastore-webconfig';
    /** What reads without privilege. */
    const READER = '/usr/sbin/datastore';
    /** A command that has not said anything for so many seconds, and runs no operation, has ended without a word. */
    const PATIENCE = 900;
    /** What has been said is kept for so many seconds. */
    const KEPT = 7 * 86400;

    /**
     * Runs the command as root and waits for it.
     *
     * @param array       $words words of its command line
     * @param string|null $input what it reads
     *
     * @return array the document that it prints
     * @throws \clearos\apps\base\Engine_Exception
     */
    public function ask($words, $input = NULL)
    {
        clearos_profile(__METHOD__, __LINE__);

        return self::answer(self::output(self::COMMAND, $words, TRUE, $input));
    }

    /**
     * Asks what anybody may ask.
     *
     * @param array $words words of the command line
     *
     * @return array the document that the command prints
     * @throws \clearos\apps\base\Engine_Exception
     */
    public function read($words)
    {
        clearos_profile(__METHOD__, __LINE__);

        return self::answer(self::output(self::READER, $words, FALSE, NULL));
    }

    /**
     * Starts the command as root and does not wait.
     *
     * @param array       $words words of its command line
     * @param string|null $name  what it is to be known by
     *
     * @return string the name
     * @throws \clearos\apps\base\Engine_Exception
     */
    public function begin($words, $name = NULL)
    {
        clearos_profile(__METHOD__, __LINE__);

        $name = $name ?? bin2hex(random_bytes(8));
        $log = self::log_file($name);
        // Whoever presses a button twice follows what the first time has begun.
        if (file_exists($log) && $this->said($name, TRUE) === NULL)
            return $name;
        // What an earlier try has said is not what this one says, and after a week nobody asks any more.
        foreach (glob(self::log_file('*')) as $old) {
            if ($old === $log || @filemtime($old) < time() - self::KEPT)
                @unlink($old);
        }
        $shell = new Shell();
        $shell->execute(self::COMMAND, self::line($words), TRUE, ['background' => TRUE, 'log' => basename($log)]);

        return $name;
    }

    /**
     * What has come of what was begun.
     *
     * @param string  $name       its name
     * @param boolean $is_running whether an operation of its is known to run
     *
     * @return array|null the document that it has printed; NULL while it may still print one
     * @throws Validation_Exception
     */
    public function said($name, $is_running)
    {
        clearos_profile(__METHOD__, __LINE__);

        clearstatcache();
        $text = @file_get_contents(self::log_file($name));
        if ($text === FALSE)
            throw new Validation_Exception(lang('datastore_plan_invalid'));
        $document = self::document($text);
        if ($document !== NULL || $is_running)
            return $document;
        // It has been killed, or sudo did not let it through. A large disk takes long to be formatted, though.
        $is_silent = trim($text) === '' && time() - filemtime(self::log_file($name)) < self::PATIENCE;
        if ($is_silent || strpos($text, '{') !== FALSE)
            return NULL;
        $message = trim($text) === '' ? lang('datastore_no_word') : sprintf(lang('datastore_command_failed'), trim($text));

        return ['error' => ['kind' => 'system', 'message' => $message, 'hint' => 'datastore recover']];
    }

    ///////////////////////////////////////////////////////////////////////////
    // P R I V A T E   M E T H O D S
    ///////////////////////////////////////////////////////////////////////////

    /** Both outputs of a command. The exit code says nothing that its document does not say better. */
    private static function output($command, $words, $superuser, $input)
    {
        $options = ['validate_exit_code' => FALSE];
        $shell = new Shell();
        if ($input === NULL) {
            $shell->execute($command, self::line($words), $superuser, $options);
            return implode("\n", $shell->get_output());
        }
        // The framework keeps no output of a command that it writes to, unless it is told to log it.
        $log = 'datastore-' . bin2hex(random_bytes(16));
        $shell->execute($command, self::line($words), $superuser, $options + ['stdin' => $input, 'log' => $log]);
        $text = (string)@file_get_contents(CLEAROS_TEMP_DIR . '/' . $log);
        @unlink(CLEAROS_TEMP_DIR . '/' . $log);

        return $text;
    }

    /** The document in an output, unless it tells of an error. */
    private static function answer($text)
    {
        $document = self::document($text);
        if ($document === NULL)
            throw new Refused_Exception('system', sprintf(lang('datastore_command_failed'), trim($text)), '');
        if (isset($document['error']))
            throw Refused_Exception::of($document['error']);

        return $document;
    }

    /** Where what is begun says what came of it. */
    private static function log_file($name)
    {
        return CLEAROS_TEMP_DIR . '/datastore-' . $name . '.log';
    }

    /** The words as the shell takes them. */
    private static function line($words)
    {
        return implode(' ', array_map('escapeshellarg', $words));
    }

    /** The JSON document in what a command said, or NULL. Messages of sudo may stand before it. */
    private static function document($text)
    {
        $start = strpos($text, '{');
        if ($start === FALSE)
            return NULL;
        $document = json_decode(substr($text, $start), TRUE);

        return is_array($document) ? $document : NULL;
    }
}

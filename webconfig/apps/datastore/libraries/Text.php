<?php

/**
 * Figures and names as people read them, in their language.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

clearos_load_language('datastore');

/**
 * Figures and names.
 */
class Text
{
    /** The name of an app, within a pattern. */
    const APP = '[A-Za-z0-9][A-Za-z0-9_.@-]*';
    /** Hints that a button can stand for: a verb, and an app or none. */
    const MENDING = '/\Adatastore (apply|start|enable|remap|import|recover)(?: (' . self::APP . '))?\z/';

    /** For HTML, also between quotes. */
    public static function html($text)
    {
        return htmlspecialchars((string)$text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
    }

    /** A translated word of a list: a state, a reason; the word itself where there is none. */
    public static function word($prefix, $word)
    {
        $known = self::words();
        $key = $prefix . '_' . str_replace('-', '_', (string)$word);

        return isset($known[$key]) ? lang('datastore_' . $key) : (string)$word;
    }

    /** Bytes with a unit. */
    public static function bytes($bytes)
    {
        if ($bytes === NULL)
            return lang('datastore_not_measured');
        foreach (['B', 'KiB', 'MiB', 'GiB', 'TiB'] as $unit) {
            if ($bytes < 1024 || $unit === 'TiB')
                break;
            $bytes /= 1024;
        }

        return ($unit === 'B' || $bytes >= 100 ? round($bytes) : number_format($bytes, 1)) . ' ' . $unit;
    }

    /** How long something takes. */
    public static function seconds($seconds)
    {
        $seconds = max(0, (int)ceil($seconds));
        if ($seconds < 60)
            return sprintf(lang('datastore_seconds'), $seconds);
        if ($seconds < 3600)
            return sprintf(lang('datastore_minutes'), (int)round($seconds / 60));

        return sprintf(lang('datastore_hours'), intdiv($seconds, 3600), intdiv($seconds % 3600, 60));
    }

    /** When something was. */
    public static function time($at)
    {
        return empty($at) ? '' : date('Y-m-d H:i', (int)$at);
    }

    /** What a hint asks for, if a button can do it: verb and app (NULL for all), else NULL. */
    public static function mending($hint)
    {
        return preg_match(self::MENDING, (string)$hint, $found) ? ['verb' => $found[1], 'app' => $found[2] ?? NULL] : NULL;
    }

    /** The words that are translated. */
    private static function words()
    {
        static $words = NULL;
        if ($words === NULL) {
            $states = ['active', 'disabled', 'inactive', 'waiting', 'pending', 'drifted', 'moving', 'interrupted', 'refused'];
            $reasons = ['volume_missing', 'wrong_volume', 'wrong_store', 'mount_point_not_empty', 'foreign_mount', 'owner_unknown', 'config_invalid',
                'config_unsafe', 'busy', 'no_space', 'claimed_elsewhere', 'hook_failed', 'mount_failed'];
            $fates = ['copied', 'renamed', 'removed'];
            $verbs = ['apply', 'start', 'stop', 'restart', 'enable', 'disable', 'remap', 'import', 'move', 'reclaim', 'recover'];
            $outcomes = ['done', 'partly', 'failed', 'recovered', 'running', 'interrupted', 'damaged'];
            foreach (['state' => $states, 'reason' => $reasons, 'fate' => $fates, 'verb' => $verbs, 'outcome' => $outcomes] as $prefix => $list) {
                foreach ($list as $word)
                    $words[$prefix . '_' . $word] = TRUE;
            }
        }

        return $words;
    }
}

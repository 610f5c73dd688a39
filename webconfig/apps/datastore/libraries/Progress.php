<?php

/**
 * How far that is which was begun: `state` is running, done or failed; `percent`, `what`, `amount` and `left` are for people; `report` is what the
 * command said when it ended.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

clearos_load_language('datastore');
clearos_load_library('datastore/Text');

/**
 * How far something is.
 */
class Progress
{
    /**
     * Before anything is known of it.
     *
     * @return array
     */
    public static function none()
    {
        return self::of(0, lang('datastore_starting'), 'running', NULL);
    }

    /**
     * When it has ended.
     *
     * @param array $report what the command has said
     *
     * @return array
     */
    public static function ended($report)
    {
        $is_wrong = isset($report['error']) || !empty($report['failed']) || (isset($report['outcome']) && $report['outcome'] !== 'done');

        return self::of(100, '', $is_wrong ? 'failed' : 'done', $report);
    }

    /**
     * When its process has gone.
     *
     * @param array $operation row of `status`
     *
     * @return array
     */
    public static function stopped($operation)
    {
        $message = sprintf(lang('datastore_operation_stopped'), $operation['goal'], $operation['done'], $operation['steps']);
        $error = ['kind' => 'interrupted', 'message' => $message, 'hint' => $operation['hint']];

        return self::ended(['error' => $error]);
    }

    /**
     * While it runs.
     *
     * @param array $at what `operation` says
     *
     * @return array
     */
    public static function running($at)
    {
        $walk = $at['walk'];
        $step = sprintf(' (%d/%d)', min($at['done'] + 1, $at['steps']), $at['steps']);
        if ($walk === NULL)
            return self::of((int)floor(99 * $at['done'] / max(1, $at['steps'])), $at['what'] . $step, 'running', NULL);
        $amount = $walk['bytes_total'] === NULL
            ? sprintf(lang('datastore_amount_so_far'), Text::bytes($walk['bytes']))
            : sprintf(lang('datastore_amount'), Text::bytes($walk['bytes']), Text::bytes($walk['bytes_total']));
        if ($walk['bytes_per_second'] > 0)
            $amount .= ', ' . Text::bytes($walk['bytes_per_second']) . '/s';

        $left = $walk['seconds_left'] === NULL ? '' : sprintf(lang('datastore_left'), Text::seconds($walk['seconds_left']));

        return self::of(self::percent($walk), $walk['what'] . ' ' . $walk['tree'] . $step, 'running', NULL, $amount, $left);
    }

    /** How much of a walk is done, in percent; never 100, which only the end is. */
    private static function percent($walk)
    {
        if (!empty($walk['bytes_total']))
            $part = $walk['bytes'] / $walk['bytes_total'];
        else if (!empty($walk['entries_total']))
            $part = $walk['entries'] / $walk['entries_total'];
        else
            $part = 0;

        return (int)max(0, min(99, floor(100 * $part)));
    }

    /** All of it. */
    private static function of($percent, $what, $state, $report, $amount = '', $left = '')
    {
        return ['percent' => $percent, 'what' => $what, 'amount' => $amount, 'left' => $left, 'state' => $state, 'report' => $report];
    }
}

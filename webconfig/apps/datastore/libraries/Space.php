<?php

/**
 * What fills a volume.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

/**
 * Space on a volume.
 */
class Space
{
    /** More in use than this, in percent, is said to be nearly full. */
    const NEARLY_FULL = 90;

    /**
     * A volume with what is known of its space.
     *
     * @param array $volume row of `status`
     * @param array $usage  what `usage` says
     *
     * @return array the volume with `used` and `inodes_used` in percent, `nearly_full`, and `parts`: what fills it, the largest first, each
     *               with `name`, `kind` (store, parked, other, free), `bytes`, and its `share` of the volume, from 0 to 1
     */
    public static function of($volume, $usage)
    {
        $volume['used'] = self::used($volume['bytes'], $volume['bytes_free']);
        $volume['inodes_used'] = self::used($volume['inodes'], $volume['inodes_free']);
        $volume['nearly_full'] = max((int)$volume['used'], (int)$volume['inodes_used']) >= self::NEARLY_FULL;
        $volume['parts'] = self::parts($volume, $usage);

        return $volume;
    }

    /** Percent in use, or NULL where nobody knows. */
    private static function used($all, $free)
    {
        return empty($all) ? NULL : (int)round(100 * ($all - $free) / $all);
    }

    /** What fills a volume, the largest first; what nobody has measured is `other`. */
    private static function parts($volume, $usage)
    {
        if (empty($volume['bytes']))
            return [];

        $parts = [];
        foreach (['store' => $usage['stores'], 'parked' => $usage['parked']] as $kind => $rows) {
            foreach ($rows as $row) {
                if ($row['volume'] === $volume['volume'] && !empty($row['bytes']))
                    $parts[] = ['name' => $row['mount_point'], 'app' => $row['app'], 'kind' => $kind, 'bytes' => $row['bytes']];
            }
        }
        usort($parts, function ($a, $b) { return $b['bytes'] <=> $a['bytes']; });
        $used = $volume['bytes'] - $volume['bytes_free'];
        $known = array_sum(array_column($parts, 'bytes'));
        $parts[] = ['name' => '', 'app' => '', 'kind' => 'other', 'bytes' => max(0, $used - $known)];
        $parts[] = ['name' => '', 'app' => '', 'kind' => 'free', 'bytes' => $volume['bytes_free']];
        // What was measured some time ago may be more than is in use now, and must not push the rest out of the picture.
        $scale = $known > $used ? $used / $known : 1;
        foreach ($parts as &$part)
            $part['share'] = $part['bytes'] * ($part['kind'] === 'free' ? 1 : $scale) / $volume['bytes'];

        return $parts;
    }
}

<?php

namespace clearos\apps\base;

clearos_load_library('base/Engine');
clearos_load_library('base/Engine_Exception');

/**
 * A file. There, it is root's hand by sudo; here, it can do what the web server can.
 */
class File extends Engine
{
    protected $path;

    public function __construct($path, $superuser = FALSE, $temporary = FALSE)
    {
        $this->path = $path;
    }

    public function exists()
    {
        return file_exists($this->path);
    }

    public function create($owner, $group, $mode)
    {
        if (!@touch($this->path))
            throw new Engine_Exception($this->path);
        chmod($this->path, octdec($mode));
    }
}

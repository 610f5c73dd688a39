<?php

/**
 * What every controller is.
 */
class ClearOS_Controller
{
    public function __get($name)
    {
        return get_instance()->$name;
    }
}

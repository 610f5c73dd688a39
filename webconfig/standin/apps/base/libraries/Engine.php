<?php

namespace clearos\apps\base;

/**
 * What every library is.
 */
class Engine
{
}

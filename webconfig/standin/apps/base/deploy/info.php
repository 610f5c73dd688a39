<?php

$app['basename'] = 'base';

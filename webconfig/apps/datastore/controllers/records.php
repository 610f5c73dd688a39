<?php

/**
 * Which operations have run, and what came of each.
 */
class Records extends ClearOS_Controller
{
    /**
     * All of them.
     *
     * @return view
     */
    function index()
    {
        $this->_records(NULL);
    }

    /**
     * Those of one app.
     *
     * @param string $app app
     *
     * @return view
     */
    function app($app = '')
    {
        // The framework gives it as it stands in the address.
        $this->_records(rawurldecode($app));
    }

    /**
     * Shows them.
     *
     * @param string|null $app app
     *
     * @return view
     */
    private function _records($app)
    {
        // Load libraries
        //---------------

        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Load view data
        //---------------

        try {
            $data['app'] = $app;
            $data['records'] = $this->datastore->get_log($app);
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('records', $data, lang('datastore_log'), ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }
}

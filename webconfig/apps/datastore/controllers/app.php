<?php

/**
 * An app: its mappings, and what can be done with them.
 */
class App extends ClearOS_Controller
{
    /**
     * All apps are in the overview.
     *
     * @return view
     */
    function index()
    {
        redirect('/datastore');
    }

    /**
     * One app.
     *
     * @param string $app app
     *
     * @return view
     */
    function view($app = '')
    {
        // Load libraries
        //---------------

        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Load view data
        //---------------

        try {
            // The framework gives it as it stands in the address.
            $app = rawurldecode($app);
            $data['app'] = $app;
            $data['mappings'] = $this->datastore->get_app($app);
            $data['parked'] = $this->datastore->get_parked($app);
            $data['volumes'] = $this->datastore->get_volumes();
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('app', $data, $app, ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }
}

<?php

/**
 * How far an operation is, and what came of it.
 */
class Operation extends ClearOS_Controller
{
    function index()
    {
        redirect('/datastore');
    }

    /**
     * The page that follows it.
     *
     * @param string $name the plan's id, or another name that it was begun under
     *
     * @return view
     */
    function view($name = '')
    {
        // Load libraries
        //---------------

        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Load view data
        //---------------

        try {
            $data['name'] = $name;
            $data['result'] = $this->datastore->get_result($name);
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // What was measured is shown where it belongs.
        if (isset($data['result']['report']['measured']))
            redirect('/datastore');

        // Load views
        //-----------

        $this->page->view_form('operation', $data, lang('datastore_operation'), ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }

    /**
     * The same for a script.
     *
     * @param string $name as for `view`
     *
     * @return void
     */
    function progress($name = '')
    {
        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        header('Content-Type: application/json');
        header('Cache-Control: no-store');
        try {
            $result = $this->datastore->get_result($name);
            // What came of it is on the page, which is asked for again then.
            unset($result['report']);
            echo json_encode($result, JSON_INVALID_UTF8_SUBSTITUTE);
        } catch (Exception $e) {
            http_response_code(404);
            echo json_encode(['state' => 'unknown'], JSON_INVALID_UTF8_SUBSTITUTE);
        }
    }

    /**
     * Finishes what has stopped half-way.
     *
     * @return view
     */
    function recover()
    {
        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        if (!$this->input->post('recover'))
            redirect('/datastore');

        try {
            $name = $this->datastore->recover();
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }
        redirect('/datastore/operation/view/' . $name);
    }
}

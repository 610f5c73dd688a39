<?php

/**
 * A mapping is added, changed or forgotten, within what root allows.
 */
class Mapping extends ClearOS_Controller
{
    const FIELDS = ['app', 'title', 'mount_point', 'target', 'volume', 'owner', 'group', 'permissions'];

    function index()
    {
        redirect('/datastore/mapping/add');
    }

    /**
     * Adds one.
     *
     * @return view
     */
    function add()
    {
        $this->_form('add', array_fill_keys(self::FIELDS, ''));
    }

    /**
     * Changes one.
     *
     * @param string $app app
     *
     * @return view
     */
    function edit($app = '')
    {
        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        try {
            // The framework gives it as it stands in the address.
            $values = $this->datastore->get_mapping(rawurldecode($app)) + array_fill_keys(self::FIELDS, '');
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }
        $this->_form('edit', $values);
    }

    /**
     * Forgets one; its data stays.
     *
     * @return view
     */
    function remove()
    {
        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        $app = $this->input->post('app');
        if (!$app)
            redirect('/datastore');

        try {
            $this->datastore->remove_mapping($app);
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }
        $this->page->set_status_deleted();
        redirect('/datastore');
    }

    /**
     * The form, and what is sent with it.
     *
     * @param string $mode   add or edit
     * @param array  $values what is in the fields at first
     *
     * @return view
     */
    private function _form($mode, $values)
    {
        // Load libraries
        //---------------

        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Set validation rules
        //---------------------

        foreach (self::FIELDS as $field)
            $this->form_validation->set_policy($field, 'datastore/Datastore', 'validate_text', in_array($field, ['app', 'mount_point'], TRUE));

        // Handle form submit
        //-------------------

        $data['error'] = '';
        if ($this->input->post('submit') && $this->form_validation->run()) {
            try {
                $this->datastore->add_mapping($this->_document());
                $this->page->set_status_added();
                redirect('/datastore/app/view/' . rawurlencode($this->input->post('app')));
                return;
            } catch (Exception $e) {
                // The form stays, with what was typed.
                $data['error'] = clearos_exception_message($e);
            }
        }

        // Load view data
        //---------------

        try {
            $data['mode'] = $mode;
            $data['values'] = $values;
            $data['volumes'] = array_column($this->datastore->get_volumes(), 'volume');
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('mapping', $data, lang('datastore_mapping_' . $mode));
    }

    /**
     * What was typed, as the command takes it. An empty field is one that is not said.
     *
     * @return array
     */
    private function _document()
    {
        $mapping = [];
        foreach (['mount_point', 'target', 'volume', 'owner', 'group', 'permissions'] as $field) {
            $value = $this->input->post($field);
            if (is_string($value) && $value !== '')
                $mapping[$field] = $value;
        }
        $document = ['app' => $this->input->post('app'), 'mappings' => [$mapping]];
        if ($this->input->post('title'))
            $document['title'] = $this->input->post('title');

        return $document;
    }
}

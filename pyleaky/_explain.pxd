# Better errors for calls: a Cython function whose TypeError for an unknown keyword, or for too many arguments by position,
# is explained by pyleaky._arguments.  A call that succeeds costs one more indirect call in C, about 2 nanoseconds.
#
# Each module that cimports this has its own copy, since Cython's entry points are static in each module.  Without the
# field that is replaced here (it is NULL), the function stays as it is and its messages are Cython's.
cdef extern from *:
    """
    static vectorcallfunc explain_entry; /* Cython's own, the same for all functions of a module that take keywords */
    static PyObject *explain_message;

    static PyObject *explain_call(PyObject *function, PyObject *const *args, size_t count, PyObject *names)
    {
        PyObject *const result = explain_entry(function, args, count, names);
        PyObject *type, *error, *traceback, *message;
        if (result || !PyErr_ExceptionMatches(PyExc_TypeError))
            return result;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        message = PyObject_CallFunctionObjArgs(explain_message, function, names ? names : Py_None, error, NULL);
        if (message && message != Py_None) {
            PyErr_SetObject(type, message);
            Py_XDECREF(type);
            Py_XDECREF(error);
            Py_XDECREF(traceback);
        } else {
            PyErr_Clear();
            PyErr_Restore(type, error, traceback);
        }
        Py_XDECREF(message);
        return NULL;
    }

    /* message(function, names of the keywords or None, error) returns a better message or None. */
    static void explain(PyObject *function, PyObject *message)
    {
        PyCFunctionObject *const own = (PyCFunctionObject *)function;
        if (!own->vectorcall || (explain_entry && own->vectorcall != explain_entry))
            return;
        explain_entry = own->vectorcall;
        explain_message = Py_NewRef(message);
        own->vectorcall = explain_call;
    }
    """
    void explain(object function, object message)

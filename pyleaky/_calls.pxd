# What a call of every public Cython function goes through: the default floating-point environment around the whole
# call, and a better message where a keyword is unknown or too many arguments are given by position.
#
# It stands in C in front of Cython's own entry point (PEP 590's vectorcall) and costs a few nanoseconds.  Each module
# that cimports this has its own copy, since Cython's entry points are static in each module.
cdef extern from *:
    """
    static vectorcallfunc pyl_entry; /* Cython's own, the same for all functions of a module that take keywords */
    static void (*pyl_enter)(void *), (*pyl_leave)(const void *);
    static PyObject *pyl_explanation; /* (function, names of the keywords or None, error): a message, or None */

    static void pyl_explain(PyObject *function, PyObject *names)
    {
        PyObject *type, *error, *traceback, *message;
        if (!PyErr_ExceptionMatches(PyExc_TypeError))
            return;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        message = PyObject_CallFunctionObjArgs(pyl_explanation, function, names ? names : Py_None, error, NULL);
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
    }

    static PyObject *pyl_call(PyObject *function, PyObject *const *args, size_t count, PyObject *names)
    {
        uint64_t caller[4];
        pyl_enter(caller);
        PyObject *const result = pyl_entry(function, args, count, names);
        pyl_leave(caller);
        if (!result)
            pyl_explain(function, names);
        return result;
    }

    /* 0, or -1 where the function is not called as expected. */
    static int pyl_wrap(PyObject *function)
    {
        PyCFunctionObject *const own = (PyCFunctionObject *)function;
        if (!own->vectorcall || (pyl_entry && own->vectorcall != pyl_entry))
            return -1;
        pyl_entry = own->vectorcall;
        own->vectorcall = pyl_call;
        return 0;
    }

    static int pyl_wrap_all(PyObject *functions, PyObject *explanation, void *enter, void *leave)
    {
        pyl_enter = (void (*)(void *))enter;
        pyl_leave = (void (*)(const void *))leave;
        pyl_explanation = Py_NewRef(explanation);
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(functions); k++)
            if (pyl_wrap(PyTuple_GET_ITEM(functions, k))) {
                PyErr_Format(PyExc_SystemError, "%R has another entry point", PyTuple_GET_ITEM(functions, k));
                return -1;
            }
        return 0;
    }
    """
    int wrap_all "pyl_wrap_all"(tuple functions, object explanation, void *enter, void *leave) except -1

package due_test

func child() bool { return false }

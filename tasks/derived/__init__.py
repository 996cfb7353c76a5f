"""Derived tasks: functions from task to task, named `kind:arguments`."""

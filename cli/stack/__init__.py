"""The embedded stack: NATS, Postgres and every service on this machine, from wheels, under one supervisor.

It owns the folder GATEHOUSE_HOME and the processes in `processes.py`'s table, and nothing else on the machine.
"""

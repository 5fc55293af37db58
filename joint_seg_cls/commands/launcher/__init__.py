"""What starts the runs of a sweep: the sweeper that plans a study, and the launcher for one machine."""

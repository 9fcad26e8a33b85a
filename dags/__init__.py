"""What is done when: schedules and arrows for Airflow, over functions that each have a command."""

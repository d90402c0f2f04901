"""The consumer runtime: tasks, workers, pushed functions, effects once. People import it from ``encola`` itself."""

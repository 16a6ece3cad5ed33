"""The application layer: whole runs, sweeps and trainings, as `mos` carries them out."""

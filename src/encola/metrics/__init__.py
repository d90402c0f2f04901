"""What is measured, sampled once a second, kept in the history, and told to whoever asks.

broker (tallies, backlogs, waiters), store (vitals) -> Sampler -> latest, History -> Prometheus, OpenTelemetry,
                                                                  CloudWatch's API, dashboard
"""

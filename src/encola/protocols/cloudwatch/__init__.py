"""The part of Amazon CloudWatch's API that reads metrics: GetMetricData, GetMetricStatistics, ListMetrics."""

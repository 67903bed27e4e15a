"""The pure parts of the benchmark: parsers of what wrk and the kernel print, the report, and what peers are told;
below `faults`, the fake instances and the crowd as well."""

"""What the log tells of single instances: who is taken out, by what evidence, and who is back. One line a change.

Nothing is decided here. The Directory tells its sinks of changes only, so nothing is said twice.
"""

from __future__ import annotations

from twisted.logger import Logger

from wmesh.events import BreakerChanged, EjectionChanged, Event, HealthChanged
from wmesh.model import Health

log = Logger()


def log_evidence(event: Event) -> None:
    """Checks or live traffic took an instance out, or it came back. That a new one is well is the deployment's news."""
    match event:
        case HealthChanged(service, id, old, new, reason):
            if new is Health.UNHEALTHY:
                log.warn("{service}: {id} is taken out: {reason}", service=service, id=id, reason=reason)
            elif old is Health.UNHEALTHY:
                log.info("{service}: {id} is healthy again", service=service, id=id)
        case BreakerChanged(service, id, _, new, reason):
            say = log.warn if new == "open" else log.info
            whose = f"{service}: {id}" if id else service
            say("{whose}: circuit breaker {state}: {reason}", whose=whose, state=new.replace("_", " "), reason=reason)
        case EjectionChanged(service, id, seconds, reason):
            if seconds:
                text = "{service}: {id} is left alone for {seconds:g} s: {reason}"
                log.warn(text, service=service, id=id, seconds=seconds, reason=reason)
            else:
                log.info("{service}: {id} may take requests again: {reason}", service=service, id=id, reason=reason)

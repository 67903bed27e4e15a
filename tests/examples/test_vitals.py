"""The numbers of `/health`."""

from app import Program
from twisted.trial.unittest import SynchronousTestCase
from vitals import Vitals, memory_bytes

from tests.examples.support import Exchange, get


class VitalsTests(SynchronousTestCase):
    def test_cpu_is_sampled_at_most_every_second(self):
        """Two questions close together get the same answer; the next sample covers the time since the last."""
        clock, cpu = [100.0], [5.0]
        vitals = Vitals(lambda: clock[0], lambda: cpu[0])
        self.assertEqual(vitals.cpu_percent(), 0.0)
        clock[0], cpu[0] = 102.0, 6.0
        self.assertEqual(vitals.cpu_percent(), 50.0)
        clock[0], cpu[0] = 102.5, 6.5
        self.assertEqual(vitals.cpu_percent(), 50.0)
        clock[0] = 104.0
        self.assertEqual(vitals.cpu_percent(), 25.0)

    def test_memory(self):
        """A Python process with Twisted in it takes some tens of megabytes."""
        self.assertTrue(10e6 < memory_bytes() < 4e9)

    def test_health(self):
        """Health has what the mesh and people look for, and answers HEAD."""
        api = Program("shop").api
        answer = get(api, "/health")
        self.assertEqual((answer.status, answer.json["status"], answer.json["service"]), (200, "healthy", "shop"))
        self.assertLessEqual({"instance", "pid", "uptime_seconds", "cpu_percent", "memory_bytes"}, set(answer.json))
        self.assertEqual(Exchange(api, "HEAD", "/health").status, 200)

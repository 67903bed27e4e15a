"""Memory as the mesh reports it: tolerant reading, bounded history, alerts that do not flap."""

from memory_monitor import FORGET_SECONDS, HISTORY, IN_A_ROW, MEBIBYTE, MemoryMonitor, Monitor, readings
from mesh_client import MeshError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.examples.support import TableMesh, get


def stats(**memory):
    return {
        "services": {
            "pricing": {
                "instances": [
                    {"id": name, "address": "127.0.0.1:1", "load": {"cpu_percent": 1.5, "memory_bytes": value}}
                    for name, value in memory.items()
                ]
            }
        }
    }


class ReadingTests(SynchronousTestCase):
    def test_tolerance(self):
        """Whatever is missing or odd is left out, piece by piece."""
        odd = [{}, {"services": None}, {"services": []}, {"services": {"a": 1, "b": {}, "c": {"instances": {}}}}]
        odd.append({"services": {"a": {"instances": [None, {}, {"id": 4}]}}})
        for document in odd:
            self.assertEqual(list(readings(document)), [], document)
        some = {
            "services": {"a": {"instances": [{"id": "x", "address": 5, "load": {"memory_bytes": "big"}}, {"id": "y"}]}}
        }
        self.assertEqual([(each.instance, each.memory_bytes) for each in readings(some)], [("x", None), ("y", None)])


class MonitorTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.mesh = TableMesh({"/service-mesh/stats": stats(p1=100 * MEBIBYTE)})
        self.monitor = Monitor(self.mesh, 200 * MEBIBYTE, 80.0, self.clock.seconds, self.clock.seconds)
        self.service = MemoryMonitor(self.monitor, self.clock, 5.0)
        self.api = self.service.api

    def test_asks_by_the_clock(self):
        """It asks at the start and every interval until it stops."""
        self.service.start()
        self.clock.pump([5.0, 5.0])
        self.assertEqual(len(self.mesh.asked), 3)
        self.successResultOf(self.service.stop())
        self.clock.advance(60)
        self.assertEqual(len(self.mesh.asked), 3)

    def test_report(self):
        """Per instance and summed up, with the history of one service on demand."""
        self.monitor.observe(stats(p1=10, p2=30))
        self.monitor.observe(stats(p1=20, p2=5))
        report = get(self.api, "/api/memory").json
        self.assertEqual((report["total_memory_bytes"], report["services"]["pricing"]["cpu_percent"]), (25, 3.0))
        one = get(self.api, "/api/memory/pricing").json
        self.assertEqual([each["peak_memory_bytes"] for each in one["instances"]], [20, 30])
        self.assertEqual([each["memory_bytes"] for each in one["instances"][0]["history"]], [10, 20])
        self.assertEqual(get(self.api, "/api/memory/none").status, 404)

    def test_history_is_bounded(self):
        """The ring keeps the latest readings only."""
        for value in range(HISTORY + 10):
            self.monitor.observe(stats(p1=value))
        history = get(self.api, "/api/memory/pricing").json["instances"][0]["history"]
        self.assertEqual((len(history), history[0]["memory_bytes"]), (HISTORY, 10))

    def test_alert_needs_several_in_a_row(self):
        """One high reading is no alert, several in a row are, and one low reading ends it."""
        high, low = stats(p1=300 * MEBIBYTE), stats(p1=100)
        for document in [high] * (IN_A_ROW - 1) + [low] + [high] * (IN_A_ROW - 1):
            self.monitor.observe(document)
            self.assertEqual(get(self.api, "/api/memory").json["alerts"], [])
        self.monitor.observe(high)
        self.assertEqual(
            get(self.api, "/api/memory").json["alerts"],
            [{"service": "pricing", "instance": "p1", "alert": "memory above 200 MiB"}],
        )
        self.monitor.observe(low)
        self.assertEqual(get(self.api, "/api/memory").json["alerts"], [])

    def test_gone_then_forgotten(self):
        """An instance that the mesh no longer names is marked, left out of the sums, and forgotten in the end."""
        self.monitor.observe(stats(p1=10, p2=30))
        self.clock.advance(5)
        self.monitor.observe(stats(p1=10))
        report = get(self.api, "/api/memory").json
        self.assertEqual([each["gone"] for each in report["services"]["pricing"]["instances"]], [False, True])
        self.assertEqual(report["total_memory_bytes"], 10)
        self.clock.advance(FORGET_SECONDS + 1)
        self.monitor.observe(stats(p1=10))
        self.assertEqual(len(get(self.api, "/api/memory/pricing").json["instances"]), 1)

    def test_mesh_gone(self):
        """If the mesh does not answer, the last readings stay and their age and the reason are shown."""
        self.successResultOf(self.monitor.ask())
        self.mesh.table["/service-mesh/stats"] = MeshError("no answer within 2 s")
        self.clock.advance(7)
        self.successResultOf(self.monitor.ask())
        report = get(self.api, "/api/memory").json
        self.assertEqual(report["mesh"], {"answers": False, "error": "no answer within 2 s", "age_seconds": 7.0})
        self.assertEqual(report["total_memory_bytes"], 100 * MEBIBYTE)

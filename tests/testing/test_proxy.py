from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import socket
import threading
import time

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.testing import proxy as proxy_module
from rotators.testing.proxy import PacketProxy, Point

numbers = itertools.count(1)
HELLO = b"\x16\x03\x01\x00\x06\x01hello"
RECORD = b"\x17\x03\x03\x00\x04data"
# What MySQL's clients send before TLS: a packet of 32 bytes with its header.
MYSQL_TLS_REQUEST = b"\x20\x00\x00\x01" + b"\x85\xae\xff\x00" + b"\x00\x00\x00\x01" + b"\xff" + b"\x00" * 23


class Peer:
    """A server of a few lines: it greets, then hands what arrives to `answer`."""

    def __init__(self, answer=lambda data: data, greeting=b"", *, hangs_up=False):
        self.received = b""
        self._answer = answer
        self._greeting = greeting
        self._hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._thread.join(10)
        self._listener.close()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(self._greeting)
            while not self._hangs_up and (data := connection.recv(65536)):
                self.received += data
                connection.sendall(self._answer(data))


def receive(side, count):
    data = b""
    while len(data) < count and (chunk := side.recv(65536)):
        data += chunk
    return data


@contextlib.contextmanager
def client_of(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
        yield client


# With a real server


@pytest.fixture
def table(postgres_server):
    name = f"proxied_{next(numbers)}"
    postgres_server.query(f"CREATE TABLE {name} (number int); GRANT ALL ON {name} TO PUBLIC")
    yield name
    postgres_server.query(f"DROP TABLE {name}")


@pytest.fixture
def work(postgres_server, postgres_proxy, table):
    """Log in through the proxy, write a row, log out."""
    app = postgres_server.create_app_user(f"proxied_{next(numbers)}")

    def work(**parameters):
        parameters = {"port": postgres_proxy.port} | parameters
        connection = postgres_server.connect(app.username, app.password, **parameters)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} VALUES (1)")

    return work


def rows(server, table):
    return server.query(f"SELECT count(*) FROM {table}")


def points_of(proxy, work):
    proxy.reset()
    work()
    return proxy.points()


def test_tls_passes_through_and_the_server_is_verified_by_its_own_name(postgres_server, postgres_proxy):
    with contextlib.closing(
        postgres_server.connect(*login(postgres_server), host=postgres_proxy.host, port=postgres_proxy.port)
    ) as connection:
        assert connection.info.ssl_in_use
        with connection.cursor() as cursor:
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert cursor.fetchone() == (True,)


def login(server):
    return server.admin.username, server.admin.password


def test_the_same_work_is_the_same_packets_each_time(postgres_proxy, work):
    seen = set()
    for _ in range(20):
        postgres_proxy.reset()
        work()
        work()
        seen.add(tuple(postgres_proxy.points()))

    (points,) = seen
    first, second = ([point for point in points if point.connection == number] for number in (1, 2))
    assert [point.packet for point in first] == [point.packet for point in second] == list(range(1, len(first) + 1))
    # SSLRequest, ClientHello, Finished, start-up, two of SCRAM, INSERT at the very least.
    assert len(first) >= 7
    assert postgres_proxy.packets == len(points)
    assert postgres_proxy.connections == 2


def test_every_cut_point_keeps_that_packet_from_the_server(postgres_server, postgres_proxy, work, table):
    written = []
    for point in points_of(postgres_proxy, work):
        postgres_server.query(f"TRUNCATE {table}")
        postgres_proxy.reset()
        postgres_proxy.cut_before(*point)
        with contextlib.suppress(psycopg2.OperationalError):
            work()
        postgres_proxy.settle()
        assert postgres_proxy.fired
        written.append(rows(postgres_server, table))

    # Nothing up to the INSERT itself; then only the farewell is lost.
    assert written == sorted(written)
    assert set(written) == {0, 1}
    assert written.count(1) == 2  # "quit", close_notify


def test_every_lost_answer_leaves_its_packet_done(postgres_server, postgres_proxy, work, table):
    failed, written = [], []
    for point in points_of(postgres_proxy, work):
        postgres_server.query(f"TRUNCATE {table}")
        postgres_proxy.reset()
        postgres_proxy.lose_answer(*point)
        try:
            work()
        except psycopg2.OperationalError:
            failed.append(point)
        postgres_proxy.settle()
        assert postgres_proxy.fired
        written.append(rows(postgres_server, table))

    # The INSERT is the last to fail for the client, and the first to be done all the same.
    assert written.index(1) == len(failed) - 1
    assert written == sorted(written)


def test_a_fault_comes_once(postgres_server, postgres_proxy, work, table):
    postgres_proxy.cut_before(1, 3)

    with pytest.raises(psycopg2.OperationalError):
        work()
    work()
    work()

    assert rows(postgres_server, table) == 2


def test_a_fault_can_wait_for_a_later_connection(postgres_server, postgres_proxy, work, table):
    postgres_proxy.lose_answer(connection=3, packet=2)

    work()
    work()
    assert not postgres_proxy.fired
    with pytest.raises(psycopg2.OperationalError):
        work()

    assert postgres_proxy.fired
    assert rows(postgres_server, table) == 2


def test_reset_disarms_and_counts_from_one_again(postgres_proxy, work):
    once = len(points_of(postgres_proxy, work))
    postgres_proxy.cut_before(2, 1)
    postgres_proxy.reset()

    work()
    work()

    assert len(postgres_proxy.points()) == 2 * once
    assert not postgres_proxy.fired


def test_a_client_that_insists_on_tls_gives_up_where_it_is_refused(postgres_proxy, work):
    postgres_proxy.refuse_tls()

    with pytest.raises(psycopg2.OperationalError, match="server does not support SSL"):
        work()

    assert postgres_proxy.fired
    assert postgres_proxy.points() == [Point(1, 1)]


def test_a_client_that_goes_on_in_plaintext_is_seen(postgres_proxy, work):
    postgres_proxy.refuse_tls()

    with pytest.raises(psycopg2.OperationalError, match=r"no encryption|SSL off"):
        work(sslmode="prefer")

    assert len(postgres_proxy.points()) > 1


def test_many_clients_at_once_are_counted_one_by_one(postgres_server, postgres_proxy, work, table):
    once = len(points_of(postgres_proxy, work))
    postgres_proxy.reset()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(24)]:
            done.result()

    points = postgres_proxy.points()
    assert len(points) == 24 * once
    assert {point.connection for point in points} == set(range(1, 25))
    assert rows(postgres_server, table) == 25


# With servers of any protocol


@pytest.mark.parametrize("size", [1, 65536, 5_000_000])
def test_data_of_any_size_arrives_whole_in_both_directions(size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with Peer() as peer, PacketProxy("127.0.0.1", peer.port) as proxy, client_of(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        echoed = receive(client, len(data))
        sender.join()

        assert echoed == data
        assert proxy.packets >= 1
    assert peer.received == data


def test_a_server_that_speaks_first_is_heard_at_once_and_not_counted():
    with Peer(greeting=b"hello") as peer, PacketProxy("127.0.0.1", peer.port) as proxy, client_of(proxy) as client:
        assert receive(client, 5) == b"hello"
        assert proxy.packets == 0
        assert proxy.connections == 1


def test_what_the_server_says_last_arrives():
    with (
        Peer(greeting=b"too many connections", hangs_up=True) as peer,
        PacketProxy("127.0.0.1", peer.port) as proxy,
        client_of(proxy) as client,
    ):
        assert receive(client, 100) == b"too many connections"


def test_a_client_that_says_its_farewell_to_nobody_is_counted_all_the_same():
    with (
        Peer(greeting=b"bye", hangs_up=True) as peer,
        PacketProxy("127.0.0.1", peer.port) as proxy,
    ):
        with client_of(proxy) as client:
            assert receive(client, 100) == b"bye"
            client.sendall(b"quit")
        assert proxy.points() == [Point(1, 1)]


def test_the_end_of_either_side_reaches_the_other():
    with (
        Peer(hangs_up=True) as peer,
        PacketProxy("127.0.0.1", peer.port) as proxy,
        client_of(proxy) as client,
    ):
        assert client.recv(1) == b""
    with Peer() as peer, PacketProxy("127.0.0.1", peer.port) as proxy:
        with client_of(proxy) as client:
            client.sendall(b"bye")
        proxy.settle()
    assert peer.received == b"bye"


def test_a_client_that_leaves_at_once_has_still_been_served_when_its_answer_is_lost():
    with Peer() as peer, PacketProxy("127.0.0.1", peer.port) as proxy:
        proxy.lose_answer(1, 1)
        with client_of(proxy) as client:
            client.sendall(b"commit")
        proxy.settle()
        assert proxy.fired
    assert peer.received == b"commit"


def test_packets_pass_until_the_server_has_something_to_say():
    with (
        Peer(answer=lambda data: b"welcome" if b"two" in data else b"") as peer,
        PacketProxy("127.0.0.1", peer.port) as proxy,
        client_of(proxy) as client,
    ):
        proxy.lose_answer(1, 1)
        client.sendall(HELLO)
        client.sendall(b"\x17\x03\x03\x00\x03two")
        assert client.recv(10) == b""
        assert proxy.fired
    assert peer.received == HELLO + b"\x17\x03\x03\x00\x03two"


def test_without_a_server_the_client_is_hung_up_on():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = probe.getsockname()[1]
    with PacketProxy("127.0.0.1", nobody) as proxy, client_of(proxy) as client:
        assert client.recv(1) == b""


def test_a_blackhole_takes_everything_and_gives_nothing():
    with Peer(greeting=b"hello") as peer, PacketProxy("127.0.0.1", peer.port) as proxy:
        with client_of(proxy) as open_before:
            assert receive(open_before, 5) == b"hello"
            proxy.blackhole()
            with client_of(proxy) as client:
                for side in (open_before, client):
                    side.sendall(b"anybody there?")
                    side.settimeout(0.2)
                    with pytest.raises(TimeoutError):
                        side.recv(1)
            assert proxy.fired
        proxy.settle()
    assert peer.received == b""


def test_a_delay_is_held_for_each_packet():
    with Peer() as peer, PacketProxy("127.0.0.1", peer.port) as proxy, client_of(proxy) as client:
        proxy.delay(0.1)
        start = time.monotonic()
        for _ in range(3):
            client.sendall(b"ping")
            assert receive(client, 4) == b"ping"
        assert 0.3 <= time.monotonic() - start < 3


def test_closing_the_proxy_does_not_wait_for_its_clients():
    before = set(threading.enumerate())
    with Peer() as peer:
        proxy = PacketProxy("127.0.0.1", peer.port)
        proxy.delay(60)
        with client_of(proxy) as client:
            client.sendall(b"ping")
            while not proxy.packets:
                time.sleep(0.01)
            proxy.close()
            proxy.close()
            assert client.recv(10) == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", proxy.port))
    assert not {thread for thread in threading.enumerate() if thread not in before}


def test_settling_tells_of_a_connection_that_stays_open():
    with Peer() as peer, PacketProxy("127.0.0.1", peer.port) as proxy, client_of(proxy) as client:
        client.sendall(b"ping")
        receive(client, 4)
        with pytest.raises(TimeoutError, match=f"localhost:{proxy.port} is still open"):
            proxy.settle(0.05)


def test_a_connection_from_before_a_reset_is_not_counted():
    with Peer() as peer, PacketProxy("127.0.0.1", peer.port) as proxy, client_of(proxy) as client:
        client.sendall(b"ping")
        receive(client, 4)
        proxy.reset()
        proxy.cut_before(1, 1)
        client.sendall(b"pong")
        assert receive(client, 4) == b"pong"
        assert (proxy.packets, proxy.connections, proxy.fired) == (0, 0, False)


def test_a_point_that_has_passed_is_refused():
    with Peer() as peer, PacketProxy("127.0.0.1", peer.port) as proxy, client_of(proxy) as client:
        client.sendall(b"ping")
        receive(client, 4)
        with pytest.raises(ValueError, match="passed already"):
            proxy.cut_before(1, 1)
        proxy.cut_before(1, 2)
        proxy.cut_before(2, 1)


@pytest.mark.parametrize("point", [(0, 1), (1, 0), (-1, 1)])
def test_a_point_below_one_is_refused(point):
    with PacketProxy("127.0.0.1", 9) as proxy:
        for ask in (proxy.cut_before, proxy.lose_answer):
            with pytest.raises(ValueError, match="counted from 1"):
                ask(*point)


# How packets are told apart


class Pieces:
    """The reading end of a socket on which data arrives in these pieces."""

    def __init__(self, pieces):
        self._pieces = iter(pieces)

    def recv(self, _):
        return next(self._pieces, b"")


def packets(*pieces):
    return list(proxy_module._packets(Pieces(pieces)))


@given(st.data(), st.lists(st.binary(max_size=300), max_size=8))
def test_tls_records_are_packets_however_they_arrive(data, bodies):
    records = [HELLO, *(b"\x17\x03\x03" + len(body).to_bytes(2, "big") + body for body in bodies)]
    rest = b"".join(records)
    pieces = [rest[:6]]  # libpq and OpenSSL write a record's beginning at once
    rest = rest[6:]
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]

    assert packets(*pieces) == records


def test_a_request_for_tls_and_the_hello_are_two_packets_also_when_they_come_together():
    apart = packets(MYSQL_TLS_REQUEST, HELLO, RECORD)

    assert apart == [MYSQL_TLS_REQUEST, HELLO, RECORD]
    assert packets(MYSQL_TLS_REQUEST + HELLO + RECORD) == apart


def test_without_tls_what_comes_at_once_is_a_packet():
    assert packets(b"one", b"two, three") == [b"one", b"two, three"]


def test_data_that_looks_like_tls_is_data_once_the_conversation_has_begun():
    query = b"INSERT " + HELLO[:6]

    assert packets(b"a", b"b", b"c", b"d", query, b"e") == [b"a", b"b", b"c", b"d", query, b"e"]


def test_tls_inside_packets_of_another_protocol_loses_nothing():
    # TDS, as SQL Server speaks it, wraps the handshake's records, and leaves the wrapping off afterwards.
    wrapped = [b"\x12\x01\x00\x14\x00\x00\x00\x00" + HELLO, b"\x12\x01\x00\x11\x00\x00\x00\x00" + RECORD, RECORD * 2]

    assert b"".join(packets(*wrapped)) == b"".join(wrapped)


def test_a_reset_connection_is_a_closed_one():
    class Reset:
        def recv(self, _):
            raise ConnectionResetError

    assert list(proxy_module._packets(Reset())) == []


def test_what_is_open_can_be_cut_and_what_comes_then_passes():
    with Peer() as first, PacketProxy("127.0.0.1", first.port) as proxy:
        with client_of(proxy) as client:
            client.sendall(b"one")
            assert receive(client, 3) == b"one"
            proxy.cut()
            assert client.recv(1) == b""
        with Peer() as second:
            proxy.lead_to("127.0.0.1", second.port)
            with client_of(proxy) as client:
                client.sendall(b"two")
                assert receive(client, 3) == b"two"
        assert second.received == b"two"
    assert first.received == b"one"


def test_each_packet_and_each_answer_is_told_of_before_it_passes():
    told = []
    with (
        Peer() as peer,
        PacketProxy("127.0.0.1", peer.port, on_packet=lambda: told.append(peer.received)) as proxy,
        client_of(proxy) as client,
    ):
        client.sendall(b"ask")
        assert receive(client, 3) == b"ask"
    assert told == [b"", b"ask"]

"""What LMCache's redis connector does with redis.asyncio, and what people do with redis-py. Prints "done" when all was as it should be."""

import asyncio
import sys

import redis
import redis.asyncio

KEY = "meta-llama/Llama-3.1-8B@1@0@5f3a9c0e@bfloat16"


async def cache(url: str, protocol: int) -> None:
    pool = redis.asyncio.ConnectionPool.from_url(url, max_connections=150, protocol=protocol)
    client = redis.asyncio.Redis(connection_pool=pool)
    assert await client.ping()
    value = bytes(index % 251 for index in range(5_000_000))
    metadata = bytes(range(28))
    key = f"{KEY}-{protocol}"
    assert await client.exists(key + "metadata") == 0
    await client.set(key + "kv_bytes", value)
    await client.set(key + "metadata", metadata)
    assert await client.exists(key + "metadata") == 1
    assert await client.get(key + "metadata") == metadata
    assert await client.get(key + "kv_bytes") == value
    assert await client.get("nothing") is None

    async def one(index: int) -> None:
        name = f"{key}-{index}"
        await client.set(name, value[: 1000 * index], ex=3600)
        assert await client.get(name) == value[: 1000 * index]

    await asyncio.gather(*(one(index) for index in range(1, 100)))
    await client.aclose()
    await pool.disconnect()


def people(url: str, protocol: int) -> None:
    client = redis.Redis.from_url(url, protocol=protocol, client_name="people")
    assert client.client_getname() in (b"people", "people")
    assert client.mset({"a": b"1", "b": b"2"})
    assert client.mget("a", "nothing", "b") == [b"1", None, b"2"]
    with client.pipeline(transaction=False) as pipe:
        for index in range(200):
            pipe.set(f"pipe-{index}", b"x" * index)
            pipe.get(f"pipe-{index}")
        answers = pipe.execute()
    assert answers[1::2] == [b"x" * index for index in range(200)]
    assert client.set("lock", b"mine", nx=True, px=60_000)
    assert client.set("lock", b"yours", nx=True, px=60_000) is None
    assert 0 < client.pttl("lock") <= 60_000
    assert len(set(client.scan_iter(match="pipe-*", count=50))) == 200
    assert client.dbsize() >= 203
    assert client.delete("a", "b", "nothing", "lock") == 3
    assert client.info("replication")["role"] == "master"
    assert client.execute_command("FOREBAY.LOOKUP", "pipe-1", "pipe-2", "nothing")[0] == 2
    try:
        client.multi() if hasattr(client, "multi") else client.execute_command("MULTI")
        raise AssertionError("MULTI is not served")
    except redis.exceptions.ResponseError as error:
        assert "transactions are not served" in str(error)
    client.close()


for version in (2, 3):
    asyncio.run(cache(sys.argv[1], version))
    people(sys.argv[1], version)
wrong = redis.Redis.from_url(sys.argv[2])
try:
    wrong.ping()
    raise AssertionError("a wrong password is refused")
except redis.exceptions.AuthenticationError:
    pass
print("done")

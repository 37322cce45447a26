"""HTTP clients of other languages against the running REST server: served, and without a word in the log."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from kaa_epr.config.settings import Settings
from kaa_epr.service import Service
from tests.flows.register_support import serving

# Each is called with the URL of the metadata, and prints what became of its requests, one on each line.
JAVA: Final = """
import java.net.URI;
import java.net.http.*;
import java.net.http.HttpRequest.BodyPublishers;

public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient(); // offers h2c
        for (String key : new String[] {"a%2Fb", "room%0A"}) {
            URI uri = URI.create(arguments[0] + "/" + key);
            // A publisher of unknown length sends chunks.
            for (var body : new HttpRequest.BodyPublisher[] {
                    BodyPublishers.ofString("1"),
                    BodyPublishers.fromPublisher(BodyPublishers.ofString("2"))}) {
                var put = HttpRequest.newBuilder(uri).header("Content-Type", "application/json").PUT(body);
                var told = client.send(put.build(), HttpResponse.BodyHandlers.ofString());
                System.out.println(told.version() + " " + told.statusCode() + " " + told.body());
            }
        }
        var all = HttpRequest.newBuilder(URI.create(arguments[0])).GET().build();
        System.out.println(client.send(all, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""
GO: Final = """
package main

import (
    "fmt"
    "io"
    "net/http"
    "os"
    "strings"
)

func ask(method, url string, body io.Reader) {
    request, err := http.NewRequest(method, url, body)
    if err != nil {
        panic(err)
    }
    request.Header.Set("Content-Type", "application/json")
    response, err := http.DefaultClient.Do(request)
    if err != nil {
        panic(err)
    }
    defer response.Body.Close()
    told, _ := io.ReadAll(response.Body)
    if method == "PUT" {
        fmt.Println(response.Proto, response.StatusCode, string(told))
    } else {
        fmt.Println(string(told))
    }
}

func main() {
    for _, key := range []string{"a%2Fb", "room%0A"} {
        ask("PUT", os.Args[1]+"/"+key, strings.NewReader("1"))
        // Of unknown length: chunks.
        ask("PUT", os.Args[1]+"/"+key, io.MultiReader(strings.NewReader("2")))
    }
    ask("GET", os.Args[1], nil)
}
"""
NODE: Final = """
const url = process.argv[2];
(async () => {
  for (const key of ["a%2Fb", "room%0A"]) {
    // A stream has no known length: chunks.
    for (const body of ["1", new Blob(["2"]).stream()]) {
      const put = {method: "PUT", body, duplex: "half", headers: {"Content-Type": "application/json"}};
      const told = await fetch(url + "/" + key, put);
      console.log("HTTP/1.1", told.status, await told.text());
    }
  }
  console.log(await (await fetch(url)).text());
})();
"""
CURL: Final = """
set -eu
told=' HTTP/%{http_version} %{http_code}\\n'
for key in a%2Fb room%0A; do
  curl -sS -X PUT -H 'Content-Type: application/json' -d 1 -w "$told" "$1/$key"
  printf 2 | curl -sS -T - -X PUT -H 'Content-Type: application/json' -H 'Expect: 100-continue' \\
      --expect100-timeout 20 --http2 -w "$told" "$1/$key"
done
curl -sS "$1"
"""
PROGRAMS: Final = {
    "java": ("Client.java", JAVA, ["java", "{file}", "{url}"]),
    "go": ("main.go", GO, ["go", "run", "{file}", "{url}"]),
    "node": ("client.js", NODE, ["node", "{file}", "{url}"]),
    "curl": ("client.sh", CURL, ["bash", "{file}", "{url}"]),
}


@pytest.fixture
async def service(settings_here: Callable[..., Settings]) -> AsyncIterator[Service]:
    async with serving(settings_here()) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(400)  # Go compiles its HTTP library, the first time
@pytest.mark.parametrize("tool", PROGRAMS)
async def test_clients_of_other_languages(service: Service, http: Any, tool: str, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not here")
    body = {"endpointId": "e", "appVersion": {"name": "app-v1"}, "metadata": {}}
    assert (await http.post("/endpoints", json=body)).status_code == 201
    name, program, command = PROGRAMS[tool]
    (tmp_path / name).write_text(program)
    url = f"{http.base_url}endpoints/e/metadata"
    with structlog.testing.capture_logs() as logged:
        process = await asyncio.create_subprocess_exec(
            *(word.format(file=tmp_path / name, url=url) for word in command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env=os.environ | {"GO111MODULE": "off"},
        )
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    *told, last = output.decode().strip().splitlines()
    assert json.loads(last) == {"a/b": 2, "room\n": 2}
    assert [sorted(line.replace("HTTP_1_1", "HTTP/1.1").split()) for line in told] == [
        sorted(("HTTP/1.1", "200", str(number))) for number in (1, 2, 1, 2)
    ]
    assert not [line for line in logged if "http" in str(line.get("logger", ""))]
    assert not [line for line in logged if line["log_level"] == "error"]

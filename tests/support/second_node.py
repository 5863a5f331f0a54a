"""A second assayd, all four roles, on the ledger and the token of an instance that runs: another node of the same CA."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import admin
import est
from ports import free_ports
from waiting import wait_running


class SecondNode:
    def __init__(self, assay, name="second", **heads):
        """`heads`: of its configuration, where it is to differ from the first node's; its file does."""
        self.assay, self.port = assay, free_ports()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="assay-node-"))
        config = json.loads((assay.home / "assay.json").read_text())
        config.update(node=name, run_dir=str(self.folder / "run"), state_dir=str(self.folder / "state"))
        config["heads"].update({"file": str(self.folder / "heads.jsonl"), **heads})
        self.move_ports(config)
        self.config = assay.home / f"{name}.json"  # in the home: its paths are relative
        self.config.write_text(json.dumps(config))
        self.log_file = self.folder / "log"
        (self.folder / "run").mkdir()

    def move_ports(self, value):
        """Every port of the first node becomes one of ours."""
        for key in value if isinstance(value, dict) else range(len(value)):
            if isinstance(value[key], (dict, list)):
                self.move_ports(value[key])
            elif key == "port":
                value[key] += self.port - self.assay.port

    def start(self):
        self.launch()
        wait_running(self.process, self.log_file, self.is_ready)
        return self

    def launch(self):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                ["assayd", "--config", self.config], stderr=log, env={**os.environ, **self.assay.env}
            )

    def is_ready(self):
        client = est.Client(f"https://127.0.0.1:{self.port + 1}", self.assay.cacert)
        try:
            return client.request("GET", "/readyz").status == 200
        except OSError:
            return False
        finally:
            client.close()

    def client(self, identity):
        return est.Client(f"https://127.0.0.1:{self.port}", self.assay.cacert, identity)

    def admin(self, who="operator"):
        """ "operator", "auditor", or (certificate file, key file)."""
        identity = (self.assay.env[f"ASSAY_{who.upper()}_CERT"], self.assay.env[f"ASSAY_{who.upper()}_KEY"]) if isinstance(who, str) else who
        return admin.Admin(f"https://127.0.0.1:{self.port + 1}", self.assay.cacert, identity)

    def stop(self):
        self.process.terminate()
        status = self.process.wait(60)
        self.config.unlink()
        if not os.environ.get("KEEP_HOME"):
            shutil.rmtree(self.folder, ignore_errors=True)
        assert status == 0, "the second node did not stop in order"

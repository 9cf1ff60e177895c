from pathlib import Path

import pytest

from devices import editing, registry
from devices.device import ConfigError

FILE = Path(registry.FILE)


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    """An empty project directory to work in; return the user's devices.toml, which is not there."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(project)
    path = registry.paths()[0]
    path.parent.mkdir(parents=True)
    return path


class TestAdd:
    def test_it_keeps_what_is_there(self):
        FILE.write_text("# my machines\n[devices.a]\ncpus = [0]")
        editing.add("b", {"kind": "local", "cpus": [1], "labels": ["x"]}, FILE)
        assert FILE.read_text() == (
            "# my machines\n[devices.a]\ncpus = [0]\n\n"
            '[devices.b]\nkind = "local"\ncpus = [1]\nlabels = ["x"]\n'
        )
        assert registry.find("a").cpus == (0,)
        assert registry.find("x").cpus == (1,)

    @pytest.mark.parametrize("name", ["a", "cpu", "a b", 'q"q', ""])
    def test_a_refused_addition_changes_nothing(self, name):
        FILE.write_text("[devices.a]\n")
        with pytest.raises(ConfigError):
            editing.add(name, {"kind": "local"}, FILE)
        assert FILE.read_text() == "[devices.a]\n"
        assert list(Path().iterdir()) == [FILE]

    def test_a_directory_that_is_not_there_is_one_line(self):
        with pytest.raises(ConfigError, match="cannot write nowhere"):
            editing.add("a", {"kind": "local"}, "nowhere" / FILE)

    def test_a_value_of_zero_stays(self):
        editing.add("g", {"kind": "gpu", "index": 0}, FILE)
        assert "index = 0" in FILE.read_text()


class TestRemove:
    TEXT = "# mine\n[devices.a]\ncpus = [0]\n\n# the other\n[devices.b]\ncpus = [1]\n"

    def test_it_leaves_the_rest_as_it_is(self):
        FILE.write_text(self.TEXT)
        assert editing.remove("b") == FILE
        assert FILE.read_text() == "# mine\n[devices.a]\ncpus = [0]\n\n# the other\n"

    def test_the_projects_goes_before_the_users(self, user):
        user.write_text(self.TEXT)
        FILE.write_text(self.TEXT)
        assert [editing.remove("a") for _ in range(2)] == [FILE, user]

    @pytest.mark.parametrize("header", ['[devices."a"]', "[ devices . a ]", "  [devices.a]"])
    def test_however_its_header_is_written(self, header):
        FILE.write_text(f"{header}\ncpus = [0]\n")
        editing.remove("a")
        assert registry.parse(FILE.read_text(), "") == {}

    def test_a_name_that_begins_alike_stays(self):
        FILE.write_text("[devices.a]\n[devices.ab]\n[devices.a-b]\n")
        editing.remove("a")
        assert FILE.read_text() == "[devices.ab]\n[devices.a-b]\n"

    def test_what_is_not_a_table_of_its_own_is_left_to_the_user(self):
        FILE.write_text("[devices]\na = {cpus = [0]}\n")
        with pytest.raises(ConfigError, match="take 'a' out by hand"):
            editing.remove("a")
        assert registry.find("a").cpus == (0,)

    def test_an_unknown_name_is_one_line_with_a_near_miss(self):
        FILE.write_text("[devices.board]\n")
        with pytest.raises(ConfigError, match=r"no device 'bord' .*'board'\?\); there is: board"):
            editing.remove("bord")


class TestOptions:
    @pytest.mark.parametrize(
        ("words", "kind", "keys"),
        [
            ([], "local", {}),
            (["--cpus", "0-2,4"], "local", {"cpus": (0, 1, 2, 4)}),
            (["--cpus=1"], "local", {"cpus": (1,)}),
            (["--index", "1"], "gpu", {"index": 1}),
            (["--host", "pi@board", "--port", "2222"], "ssh", {"host": "pi@board", "port": 2222}),
            (["--host", "b", "--emulated", "true"], "ssh", {"host": "b", "emulated": True}),
            (["--host", "b", "--runtimes", "own"], "ssh", {"host": "b", "runtimes": "own"}),
        ],
    )
    def test_every_key_of_a_kind_is_one(self, words, kind, keys):
        found = editing.options(words, kind)
        assert {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()} == keys

    @pytest.mark.parametrize(
        ("words", "kind", "message"),
        [
            (["--cpu", "0"], "local", r"no option '--cpu' for kind local .*'--cpus'\?\); there is"),
            (["--cpus", "a-b"], "local", "--cpus a-b: expected numbers, as 0-1 or 0,2"),
            (["--cpus", "3-1"], "local", "--cpus 3-1: expected numbers"),
            (["--cores", "huge"], "android", "expected big, little, numbers, as 0-1 or 0,2"),
            (["--host", "pi", "--port", "ssh"], "ssh", "--port ssh: expected a whole number"),
            (["--host", "pi", "--emulated", "so"], "ssh", "--emulated so: expected true or false"),
            (["--cpus"], "local", "--cpus needs a value"),
            (["board"], "local", "no option 'board'"),
            ([], "ssh", "kind ssh needs --host VALUE"),
            (["--host", "b", "--port", "x"], "ssh", "--port x: "),
            (["--host", "b", "--runtimes", "all"], "ssh", "--runtimes all: "),
            (
                [],
                "shs",
                r"--kind: no kind 'shs' \(did you mean 'ssh'\?\); there is: local, gpu, ssh",
            ),
        ],
    )
    def test_a_mistake_is_one_line(self, words, kind, message):
        with pytest.raises(ConfigError, match=message) as caught:
            editing.options(words, kind)
        assert "\n" not in str(caught.value)

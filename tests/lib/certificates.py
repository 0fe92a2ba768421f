"""A certificate authority for tests, made of openssl's commands in a directory of the test's."""
import os
import pathlib
import subprocess

CONFIG = """[ca]
default_ca = it
[it]
dir = {dir}
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
crlnumber = {dir}/crlnumber
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


class Authority:
    """ca.pem, crl.pem and what it issued lie in its folder."""

    def __init__(self, folder, name="Test CA"):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir()
        (self.dir / "openssl.cnf").write_text(CONFIG.format(dir=self.dir))
        (self.dir / "index.txt").write_text("")
        for counter in ("serial", "crlnumber"):
            (self.dir / counter).write_text("1000\n")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.revoke()

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.dir, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"

    def issue(self, name, san, begin=None, end=None):
        """NAME.pem and NAME.key; san: as subjectAltName takes it, "": none; times: as openssl ca takes them."""
        extension = ["-addext", f"subjectAltName={san}"] if san else []
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                     f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", *extension)
        times = (["-startdate", begin] if begin else []) + (["-enddate", end] if end else ["-days", "20"])
        self.openssl("ca", "-batch", "-notext", "-config", "openssl.cnf", "-in", f"{name}.csr", "-out", f"{name}.pem",
                     *times)
        os.chmod(self.dir / f"{name}.key", 0o600)
        return self.dir / f"{name}.pem"

    def revoke(self, name=None, days=10):
        """And writes crl.pem anew."""
        if name is not None:
            self.openssl("ca", "-config", "openssl.cnf", "-revoke", f"{name}.pem")
        self.openssl("ca", "-config", "openssl.cnf", "-gencrl", "-crldays", str(days), "-out", "crl.pem")

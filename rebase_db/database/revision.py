"""The schema revision this code is written for; a test holds it against the migrations."""

HEAD = "0005"

"""What a command printed with --json, held to its schema."""

import json

import jsonschema

from bdia_numerics.cli import schemas


def fits(output, text):
    """Validate what a command has printed, and return it."""
    found = json.loads(text)
    jsonschema.validate(found, schemas.schema(output))
    return found

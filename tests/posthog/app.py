"""The same of posthog-python. Arguments: host, how many events, of how many organisations."""

import os
import sys

import posthog

ID = "0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"

client = posthog.Posthog(os.environ["POSTHOG_PUBLIC_API_KEY"], host=sys.argv[1], gzip=True)
for number in range(int(sys.argv[2])):
    told = {"toolId": ID, "toolName": "get_weather", "version": "3.0.1"}
    client.capture("tool_created", distinct_id=f"organisation-{number % int(sys.argv[3])}", properties=told)
client.shutdown()
sys.stdout.write("ended\n")

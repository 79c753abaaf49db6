"""Why a cluster cannot be used: a connection of our own, step by step, after a client's has failed.

The clients tell too little, and each tells something else: librdkafka has one text for every certificate that it does
not take, kafka-python none. The steps are those of every client: resolve, connect, TLS (RFC 8446), ApiVersions,
SASL (KIP-43, KIP-152), Metadata, and a connection to each broker that this names.
"""

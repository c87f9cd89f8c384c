#!/usr/bin/env bash
# Runs once in the `setup` service: makes the cluster's certificates and the accounts of Kibana, indexer and API.
set -euo pipefail

certs=/usr/share/elasticsearch/config/certs
url=https://elasticsearch:9200

if [ ! -f "$certs/elasticsearch/elasticsearch.key" ]; then
  bin/elasticsearch-certutil ca --silent --pem --out "$certs/ca.zip"
  unzip -q "$certs/ca.zip" -d "$certs"
  bin/elasticsearch-certutil cert --silent --pem --out "$certs/node.zip" \
    --name elasticsearch --dns elasticsearch --dns localhost --ip 127.0.0.1 \
    --ca-cert "$certs/ca/ca.crt" --ca-key "$certs/ca/ca.key"
  unzip -q "$certs/node.zip" -d "$certs"
  rm "$certs"/*.zip
fi
# Every service reads the authority's certificate; the keys stay with Elasticsearch's user (1000) and root.
chown -R root:root "$certs"
chown 1000:0 "$certs/elasticsearch/elasticsearch.key"
chmod 755 "$certs" "$certs/ca" "$certs/elasticsearch"
chmod 644 "$certs/ca/ca.crt" "$certs/elasticsearch/elasticsearch.crt"
chmod 640 "$certs/elasticsearch/elasticsearch.key"
chmod 600 "$certs/ca/ca.key"
touch "$certs/ready" # the health check of this service: Elasticsearch may start

# Sends JSON from standard input. The password goes by a file descriptor, never by the command line.
send() { # METHOD PATH
  curl --silent --show-error --fail-with-body --cacert "$certs/ca/ca.crt" --request "$1" "$url/$2" \
    --config <(printf 'user = "elastic:%s"\n' "$ELASTIC_PASSWORD") \
    --header 'Content-Type: application/json' --data-binary @- >/dev/null
}

echo "waiting for Elasticsearch"
until curl --silent --cacert "$certs/ca/ca.crt" "$url" | grep -q 'missing authentication credentials'; do
  sleep 2
done

send POST _security/user/kibana_system/_password <<<"{\"password\": \"$KIBANA_PASSWORD\"}"
send PUT _security/role/nitamono_indexer <<'JSON'
{"cluster": ["monitor"], "indices": [{"names": ["listings-*"], "privileges": ["all"]}]}
JSON
send PUT _security/role/nitamono_reader <<'JSON'
{"cluster": ["monitor"], "indices": [{"names": ["listings-*"], "privileges": ["read", "view_index_metadata", "monitor"]}]}
JSON
send PUT _security/user/nitamono_indexer \
  <<<"{\"password\": \"$INDEXER_PASSWORD\", \"roles\": [\"nitamono_indexer\"]}"
send PUT _security/user/nitamono_reader \
  <<<"{\"password\": \"$READER_PASSWORD\", \"roles\": [\"nitamono_reader\"]}"
echo "accounts are ready"

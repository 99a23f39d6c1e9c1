#!/usr/bin/env bash
# Runs a class of Kafka: kafka-run-class.sh CLASS [ARGUMENT...]. The official image's variables set heap, logging and options.
# CLASS_ARCHIVE is ours: a KAFKA_ variable would become a property of the broker.
set -euo pipefail
logging=${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/etc/kafka/docker/tools-log4j2.yaml}
# In a fixed order: an archive of loaded classes holds for one class path.
jars=(/opt/kafka/libs/*.jar)
# Word splitting is meant: each variable holds several options.
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_JVM_PERFORMANCE_OPTS:--server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true} \
  ${CLASS_ARCHIVE:-} ${KAFKA_JMX_OPTS:-} $logging -Dkafka.logs.dir=/opt/kafka/logs ${KAFKA_OPTS:-} \
  -cp "$(IFS=:; echo "${jars[*]}")" "$@"

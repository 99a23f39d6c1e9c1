# Asks the server for `hello` over its Unix socket and wants an answer within five seconds. That needs neither TLS nor
# a password, starts no shell, and a server that is stopped or stuck does not pass: the kernel accepts, nobody answers.
use strict;
use warnings;
use IO::Socket::UNIX;

use constant { OP_MSG => 2013, REQUEST => 1, DOUBLE => 1, TEXT => 2, INTEGER => 16 };

alarm 5;
my $server = IO::Socket::UNIX->new(Peer => '/tmp/mongodb-27017.sock') or die "no socket: $!\n";

my $fields = pack('C Z* l<', INTEGER, 'hello', 1) . pack('C Z* l</Z*', TEXT, '$db', 'admin');
my $document = pack('l<', length($fields) + 5) . $fields . "\0";
my $message = pack('l< C', 0, 0) . $document;
print {$server} pack('l<4', length($message) + 16, REQUEST, 0, OP_MSG) . $message;
$server->flush;

read($server, my $header, 16) == 16 or die "no answer\n";
my ($length) = unpack 'l<', $header;
read($server, my $answer, $length - 16) == $length - 16 or die "half an answer\n";
my $succeeded = pack('C Z* d<', DOUBLE, 'ok', 1);
index($answer, $succeeded) >= 0 or die "refused\n";
